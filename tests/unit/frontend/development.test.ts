// What oc-web's development server talks to in place of the agent server.
import { expect, test } from "bun:test";
import { cpSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const files = join(import.meta.dir, "../../../roles/frontend/files");
// In the place of Vite: tells what it was given, and what it gets.
const VITE = `
const address = process.env.OPENCODE_SERVER_URL;
const agents = await (await fetch(address + "/agent")).json();
const sent = await (await fetch(address + "/session?directory=/workspace", { method: "POST", body: "hello" })).text();
const password = Object.values(process.env).filter((value) => value.includes("password"));
console.log(JSON.stringify({ address, agents: agents.map((agent) => agent.name), sent, password, words: process.argv.slice(2) }));
`;

test("the development server gets translated answers, and no password", async () => {
  const asked: (string | null)[] = [];
  const backend = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      asked.push(request.headers.get("authorization"));
      const { pathname, search } = new URL(request.url);
      if (pathname === "/agent") return Response.json([{ name: "build", mode: "primary" }, { name: "plan", mode: "primary" }]);
      return new Response(`${request.method} ${pathname}${search} ${await request.text()}`);
    },
  });
  const folder = mkdtempSync(join(tmpdir(), "development-"));
  for (const part of ["image", "development"]) cpSync(join(files, part), folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ scripts: { dev: "bun vite.ts" } }));
  writeFileSync(join(folder, "vite.ts"), VITE);
  writeFileSync(join(folder, "password"), "the-secret\n");
  const run = Bun.spawn([process.execPath, "development.ts"], {
    cwd: folder,
    env: {
      PATH: `${join(process.execPath, "..")}:${process.env.PATH}`,
      OPENCODE_SERVER_URL: backend.url.origin,
      OPENCODE_SERVER_PASSWORD_FILE: join(folder, "password"),
      OPENCODE_WEB_HOST: "frontend-web",
      OPENCODE_WEB_PORT: "3000",
    },
    stdout: "pipe",
    stderr: "pipe",
  });
  const said = JSON.parse((await new Response(run.stdout).text()).trim().split("\n").pop() ?? "");
  expect(await run.exited).toBe(0);
  expect(said.address).toStartWith("http://127.0.0.1:");
  expect(said.address).not.toBe(backend.url.origin);
  expect(said.agents).toEqual(["plan", "build"]);
  expect(said.sent).toBe("POST /session?directory=/workspace hello");
  expect(said.password).toEqual([]);
  expect(said.words).toEqual(["--host", "frontend-web", "--port", "3000", "--strictPort"]);
  expect(asked).toEqual([`Basic ${btoa("opencode:the-secret")}`, `Basic ${btoa("opencode:the-secret")}`]);
  backend.stop(true);
}, 30_000);
