// Loaded before oc-web (bun --preload): makes it speak with OpenCode 1.18, and changes nothing of oc-web itself.
import { orderAgents } from "./agents.ts";
import { Backend } from "./backend.ts";
import { EventTranslator } from "./events.ts";
import { placeProject, placeProjects } from "./projects.ts";
import { translateStream } from "./stream.ts";

const backend = Backend.fromEnvironment();
const workspace = process.env.WORKSPACE_PATH ?? "/workspace";
const elsewhere = globalThis.fetch;

async function ownProject() {
  const answer = await backend.fetch(new Request(`${backend.origin}/project/current?directory=${encodeURIComponent(workspace)}`));
  return answer.json();
}

// What oc-web gets in place of some of OpenCode's answers.
const TRANSLATIONS: Record<string, (answer: Response) => Promise<Response> | Response> = {
  "/event": (answer) => (answer.body ? new Response(translateStream(answer.body, new EventTranslator()), answer) : answer),
  "/agent": async (answer) => Response.json(orderAgents(await answer.json())),
  "/project": async (answer) => Response.json(placeProjects(await ownProject(), await answer.json(), workspace)),
  "/project/current": async (answer) => Response.json(placeProject(await answer.json(), workspace)),
};

async function adapted(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input as RequestInfo, init);
  if (!backend.owns(request.url)) return elsewhere(request);
  const answer = await backend.fetch(request);
  const translate = request.method === "GET" && answer.ok ? TRANSLATIONS[new URL(request.url).pathname] : undefined;
  return translate ? translate(answer) : answer;
}

globalThis.fetch = Object.assign(adapted, { preconnect: elsewhere.preconnect });
