// Runs oc-web's development server, and beside it what that talks to in place of the agent server: Vite passes requests on without
// going through fetch, where the adapter is, and knows no password.
import "./adapter.ts";
import { without } from "./headers.ts";

const { OPENCODE_SERVER_URL, OPENCODE_WEB_HOST, OPENCODE_WEB_PORT, OPENCODE_SERVER_PASSWORD_FILE: _, ...environment } = process.env;

const adapted = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  // An event stream may be silent for long.
  idleTimeout: 0,

  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    const { method, body, signal } = request;
    try {
      const answer = await fetch(`${OPENCODE_SERVER_URL}${pathname}${search}`, { method, body, signal, headers: without(request.headers) });
      return new Response(answer.body, { status: answer.status, headers: without(answer.headers, ["content-encoding", "content-length", "www-authenticate"]) });
    } catch (error) {
      if (signal.aborted) return new Response(null, { status: 499 });
      console.error(`${method} ${pathname}: ${error instanceof Error ? error.message : error}`);
      return new Response("The agent server does not answer.", { status: 502 });
    }
  },
});

const vite = Bun.spawn(["bun", "run", "dev", "--host", `${OPENCODE_WEB_HOST}`, "--port", `${OPENCODE_WEB_PORT}`, "--strictPort"], {
  env: { ...environment, OPENCODE_SERVER_URL: `${adapted.url.origin}`, OPENCODE_WEB_PORT },
  stdio: ["ignore", "inherit", "inherit"],
});
process.on("SIGTERM", () => vite.kill());
process.exit(await vite.exited);
