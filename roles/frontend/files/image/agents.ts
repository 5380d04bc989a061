// oc-web starts with the second primary agent of the list, which OpenCode 1.18 made one for its own use.

export interface Agent {
  name: string;
  mode: string;
  hidden?: boolean;
}

// The agents that people may choose, `plan` first and `build` second among the primary ones.
export function orderAgents<T extends Agent>(agents: T[]): T[] {
  const rank = ({ name }: Agent) => ["plan", "build"].indexOf(name);
  const [known, others] = [agents.filter((agent) => rank(agent) >= 0), agents.filter((agent) => rank(agent) < 0)];
  return [...known.sort((a, b) => rank(a) - rank(b)), ...others].filter((agent) => !agent.hidden);
}
