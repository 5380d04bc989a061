// Headers that are meant for one connection, not for what is carried over it.
const HOP_BY_HOP = ["connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

// What the agent's server needs to know of a request. What else a browser or a proxy says may be who somebody is.
const ASKED = /^(accept(-.*)?|cache-control|content-(encoding|length|type)|if-.*|last-event-id|range|x-opencode-.*)$/;

// What a browser needs to know of an answer. What else there is could be about the gateway's name, its neighbours or its logins.
const ANSWERED = /^(accept-ranges|cache-control|content-(disposition|encoding|language|length|range|type)|etag|last-modified|location|vary|x-next-cursor|x-opencode-.*)$/;

// What is left to be passed on of an answer, without these and without `names`.
export function without(headers: Headers, names: string[] = []): Headers {
  const kept = new Headers(headers);
  for (const name of [...HOP_BY_HOP, ...names]) kept.delete(name);
  return kept;
}

// What is passed on of a request.
export function asked(headers: Headers): Headers {
  return new Headers([...headers].filter(([name]) => ASKED.test(name)));
}

// What is passed on of an answer.
export function answered(headers: Headers): Headers {
  return new Headers([...headers].filter(([name]) => ANSWERED.test(name)));
}
