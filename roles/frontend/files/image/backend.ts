// The way to the agent server: its password goes to its own origin and nowhere else.
import { readFileSync } from "node:fs";
import { asked } from "./headers.ts";

type Fetch = (request: Request, options: BunFetchRequestInit) => Promise<Response>;

export class Backend {
  readonly origin: string;
  readonly #authorization: string;
  readonly #fetch: Fetch;

  constructor(url: string, password: string, fetch: Fetch = globalThis.fetch) {
    this.origin = new URL(url).origin;
    this.#authorization = `Basic ${btoa(`opencode:${password}`)}`;
    this.#fetch = fetch;
  }

  static fromEnvironment(): Backend {
    const { OPENCODE_SERVER_URL, OPENCODE_SERVER_PASSWORD_FILE } = process.env;
    if (!OPENCODE_SERVER_URL || !OPENCODE_SERVER_PASSWORD_FILE) {
      throw new Error("OPENCODE_SERVER_URL and OPENCODE_SERVER_PASSWORD_FILE must be set");
    }
    return new Backend(OPENCODE_SERVER_URL, readFileSync(OPENCODE_SERVER_PASSWORD_FILE, "utf8").trim());
  }

  owns(url: string): boolean {
    return new URL(url).origin === this.origin;
  }

  get headers(): { authorization: string } {
    return { authorization: this.#authorization };
  }

  // A redirect is handed back rather than followed: it could lead the password elsewhere. An answer may take longer than
  // Bun's five minutes, and an event stream is open for days.
  fetch(request: Request, options: BunFetchRequestInit = {}): Promise<Response> {
    if (!this.owns(request.url)) throw new Error(`Not the agent server: ${new URL(request.url).origin}`);
    const authorized = new Request(request, { headers: asked(request.headers) });
    authorized.headers.set("authorization", this.#authorization);
    return this.#fetch(authorized, { ...options, redirect: "manual", timeout: false } as BunFetchRequestInit);
  }
}
