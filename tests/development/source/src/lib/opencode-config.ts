export function listens(environment: Record<string, string | undefined>) {
  return { hostname: environment.OPENCODE_WEB_HOST, port: environment.OPENCODE_WEB_PORT, idleTimeout: 0 };
}
