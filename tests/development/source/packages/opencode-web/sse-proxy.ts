export function events(): Promise<Response> {
  return fetch(`${process.env.OPENCODE_SERVER_URL}/event`);
}
