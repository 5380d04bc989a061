import { expect, test } from "bun:test";
import { orderAgents } from "../../../roles/frontend/files/image/agents.ts";
import { placeProjects } from "../../../roles/frontend/files/image/projects.ts";

// What OpenCode 1.18.33 lists, in its order.
const AGENTS = [
  { name: "build", mode: "primary" },
  { name: "compaction", mode: "primary", hidden: true },
  { name: "explore", mode: "subagent" },
  { name: "general", mode: "subagent" },
  { name: "plan", mode: "primary" },
  { name: "summary", mode: "primary", hidden: true },
  { name: "title", mode: "primary", hidden: true },
];

test("build is the second primary agent, and agents for OpenCode's own use are not offered", () => {
  const primary = orderAgents(AGENTS).filter(({ mode }) => mode === "primary");
  expect(primary.map(({ name }) => name)).toEqual(["plan", "build"]);
  expect(orderAgents(AGENTS).map(({ name }) => name)).toContain("explore");
});

test("the project at / is the workspace", () => {
  const own = { id: "global", worktree: "/" };
  const repository = { id: "1", worktree: "/workspace/repository" };
  expect(placeProjects(own, [repository, own], "/workspace")).toEqual([{ id: "global", worktree: "/workspace" }, repository]);
});

test("the workspace is there on a server that has seen no project", () => {
  expect(placeProjects({ id: "global", worktree: "/" }, [], "/workspace")).toEqual([{ id: "global", worktree: "/workspace" }]);
});
