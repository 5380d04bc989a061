// Serves OpenCode's own page: everything goes to the agent server, with the password that the browser does not have.
import type { ServerWebSocket } from "bun";
import { Backend } from "./backend.ts";
import { answered } from "./headers.ts";

interface Terminal {
  url: string;
  backend?: WebSocket;
  waiting: (string | Buffer)[];
}

const backend = Backend.fromEnvironment();

const server = Bun.serve<Terminal>({
  hostname: process.env.OPENCODE_WEB_HOST,
  port: process.env.OPENCODE_WEB_PORT,
  // An event stream may be silent for long.
  idleTimeout: 0,

  async fetch(request, server) {
    const { pathname, search } = new URL(request.url);
    const url = `${backend.origin}${pathname}${search}`;
    if (request.headers.get("upgrade")?.toLowerCase() === "websocket") {
      const upgraded = server.upgrade(request, { data: { url: url.replace(/^http/, "ws"), waiting: [] } });
      return upgraded ? undefined : new Response("Not a websocket", { status: 400 });
    }
    try {
      const { method, body } = request;
      const forwarded = new Request(url, { method, body, headers: request.headers, signal: request.signal });
      const answer = await backend.fetch(forwarded, { decompress: false });
      return new Response(answer.body, { status: answer.status, headers: answered(answer.headers) });
    } catch (error) {
      if (request.signal.aborted) return new Response(null, { status: 499 });
      console.error(`${request.method} ${pathname}: ${error instanceof Error ? error.message : error}`);
      return new Response("The agent server does not answer.", { status: 502 });
    }
  },

  // OpenCode's terminal.
  websocket: {
    idleTimeout: 0,
    open(browser: ServerWebSocket<Terminal>) {
      const socket = new WebSocket(browser.data.url, { headers: backend.headers });
      socket.binaryType = "nodebuffer";
      socket.onopen = () => {
        for (const message of browser.data.waiting.splice(0)) socket.send(message);
      };
      socket.onmessage = ({ data }) => browser.send(data);
      socket.onclose = ({ code, reason }) => browser.close(code === 1005 || code === 1006 ? 1011 : code, reason);
      browser.data.backend = socket;
    },
    message(browser, message) {
      const socket = browser.data.backend;
      if (socket?.readyState === WebSocket.OPEN) socket.send(message);
      else browser.data.waiting.push(message);
    },
    close(browser) {
      browser.data.backend?.close();
    },
  },
});
console.log(`Listening on ${server.url}`);
