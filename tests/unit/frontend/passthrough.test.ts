import { afterAll, beforeAll, expect, test } from "bun:test";
import { tmpdir } from "node:os";

const AUTHORIZATION = `Basic ${btoa("opencode:the-password")}`;
const SAID = { etag: "a", "x-next-cursor": "b", "set-cookie": "c=d; Domain=lan", nel: "e", "clear-site-data": '"storage"', "x-else": "f" };
const backend = Bun.serve({
  port: 0,
  fetch(request, server) {
    if (request.headers.get("authorization") !== AUTHORIZATION) {
      return new Response("who are you?", { status: 401, headers: { "www-authenticate": "Basic" } });
    }
    const { pathname, search } = new URL(request.url);
    if (pathname === "/headers") return Response.json([...request.headers.keys()]);
    if (pathname === "/said") return new Response("x", { headers: SAID });
    if (pathname === "/pty") return server.upgrade(request) ? undefined : new Response(null, { status: 400 });
    if (pathname === "/event") {
      const stream = new ReadableStream({
        async start(controller) {
          controller.enqueue("data: 1\n\n");
          await told.promise;
          controller.enqueue("data: 2\n\n");
          controller.close();
        },
      });
      return new Response(stream, { headers: { "content-type": "text/event-stream" } });
    }
    return Response.json({ path: pathname + search, method: request.method, host: request.headers.get("host") });
  },
  websocket: { message: (socket, message) => void socket.send(`echo ${message}`) },
});
const told = Promise.withResolvers<void>();
let process: Bun.Subprocess;
let url: string;

async function start(password: string): Promise<[Bun.Subprocess, string]> {
  const file = `${tmpdir()}/passthrough-${password}-${backend.port}`;
  await Bun.write(file, `${password}\n`);
  const started = Bun.spawn([globalThis.process.execPath, `${import.meta.dir}/../../../roles/frontend/files/image/passthrough.ts`], {
    env: {
      OPENCODE_SERVER_URL: `http://localhost:${backend.port}`,
      OPENCODE_SERVER_PASSWORD_FILE: file,
      OPENCODE_WEB_HOST: "127.0.0.1",
      OPENCODE_WEB_PORT: "0",
    },
    stdout: "pipe",
  });
  for await (const said of started.stdout.pipeThrough(new TextDecoderStream())) {
    return [started, said.match(/http:\/\/\S+/)?.[0] ?? ""];
  }
  throw new Error("It did not start");
}

beforeAll(async () => {
  [process, url] = await start("the-password");
});
afterAll(() => (process.kill(), backend.stop(true)));

test("a request reaches the agent server with the password", async () => {
  const answer = await fetch(`${url}session?directory=%2Fworkspace`, { method: "POST", body: "{}" });
  expect(await answer.json()).toEqual({ path: "/session?directory=%2Fworkspace", method: "POST", host: `localhost:${backend.port}` });
});

test("of a request's headers, only what the agent server needs goes on", async () => {
  const headers = { accept: "text/html", "x-opencode-directory": "/workspace", "remote-user": "ann", "x-authentik-jwt": "a", oidc_claim: "a" };
  const said: string[] = await (await fetch(`${url}headers`, { headers })).json();
  expect(said).toContain("x-opencode-directory");
  expect(said).toContain("accept");
  expect(said.filter((name) => ["remote-user", "x-authentik-jwt", "oidc_claim"].includes(name))).toEqual([]);
});

test("of an answer's headers, only what a browser needs goes on", async () => {
  const { headers } = await fetch(`${url}said`);
  expect(Object.keys(SAID).filter((name) => headers.has(name))).toEqual(["etag", "x-next-cursor"]);
});

test("events arrive one by one", async () => {
  const reader = (await fetch(`${url}event`)).body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toBe("data: 1\n\n");
  told.resolve();
  expect((await reader?.read())?.value).toBe("data: 2\n\n");
});

test("the terminal's websocket is carried both ways, from its first word", async () => {
  const socket = new WebSocket(`${url.replace("http", "ws")}pty`);
  const answered = new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
  socket.onopen = () => socket.send("hello");
  expect(await answered).toBe("echo hello");
  socket.close();
});

test("a wrong password does not make the browser ask for one", async () => {
  const [other, address] = await start("wrong");
  const answer = await fetch(address);
  expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([401, null]);
  other.kill();
});
