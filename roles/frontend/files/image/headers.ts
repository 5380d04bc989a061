// Headers that are meant for one connection, not for what is carried over it.
const HOP_BY_HOP = ["connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

// What is left to be passed on, without these and without `names`.
export function without(headers: Headers, names: string[] = []): Headers {
  const kept = new Headers(headers);
  for (const name of [...HOP_BY_HOP, ...names]) kept.delete(name);
  return kept;
}
