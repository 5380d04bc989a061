import { afterAll, expect, test } from "bun:test";
import { Backend } from "../../../roles/frontend/files/image/backend.ts";

const seen: { path: string; authorization: string | null }[] = [];
const record = (request: Request) => {
  seen.push({ path: new URL(request.url).pathname, authorization: request.headers.get("authorization") });
};
const other = Bun.serve({ port: 0, fetch: (request) => (record(request), new Response("other")) });
const server = Bun.serve({
  port: 0,
  fetch: (request) => (record(request), request.url.endsWith("/away") ? Response.redirect(`${other.url}stolen`) : new Response("own")),
});
afterAll(() => Promise.all([server.stop(), other.stop()]));

const backend = new Backend(`http://localhost:${server.port}/`, "the-password");

test("the password goes to the agent server", async () => {
  await backend.fetch(new Request(`http://localhost:${server.port}/agent`));
  expect(seen.at(-1)).toEqual({ path: "/agent", authorization: `Basic ${btoa("opencode:the-password")}` });
});

test("who somebody is goes no further", async () => {
  const echo = Bun.serve({ port: 0, fetch: (request) => Response.json([...request.headers.keys()]) });
  const said = { "Cf-Access-Jwt-Assertion": "x", "X-Authentik-Username": "x", Cookie: "x", "Content-Type": "text/plain" };
  const answer = await new Backend(`http://localhost:${echo.port}`, "p").fetch(new Request(`http://localhost:${echo.port}/`, { headers: said }));
  const names = await answer.json();
  expect(names).toContain("content-type");
  expect(names.filter((name: string) => /^(cf-|x-|cookie)/.test(name))).toBeEmpty();
  await echo.stop();
});

test("the password does not follow a redirect", async () => {
  const answer = await backend.fetch(new Request(`http://localhost:${server.port}/away`));
  expect(answer.status).toBe(302);
  expect(seen.filter(({ path }) => path === "/stolen")).toBeEmpty();
});

test.each([`http://localhost:${other.port}/`, `http://127.0.0.1:${server.port}/`, `https://localhost:${server.port}/`])(
  "the password does not go to %s",
  (url) => {
    const before = seen.length;
    expect(() => backend.fetch(new Request(url))).toThrow("Not the agent server");
    expect(seen.length).toBe(before);
  },
);

test("a body arrives with the password", async () => {
  const echo = Bun.serve({ port: 0, fetch: async (request) => Response.json([request.method, await request.text()]) });
  const answer = await new Backend(`http://localhost:${echo.port}`, "p").fetch(
    new Request(`http://localhost:${echo.port}/session`, { method: "POST", body: "hello" }),
  );
  expect(await answer.json()).toEqual(["POST", "hello"]);
  await echo.stop();
});
