// Its own server, with what oc-web's has beside it: what it is told of where to listen, and a way for events.
import page from "./dist/server/server.js";
import { events } from "./packages/opencode-web/sse-proxy.ts";
import { listens } from "./src/lib/opencode-config.ts";

Bun.serve({ ...listens(process.env), fetch: (asked) => (new URL(asked.url).pathname === "/api/events" ? events() : page.fetch()) });
