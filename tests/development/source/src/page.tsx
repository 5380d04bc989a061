import { useEffect, useState } from "react";

export function Page() {
  const [agents, setAgents] = useState("nobody yet");
  useEffect(() => {
    fetch("/api/agent")
      .then((answer) => answer.json())
      .then((found: { name: string }[]) => setAgents(found.map(({ name }) => name).join(", ")));
  }, []);
  return (
    <main>
      <h1>edit number 0</h1>
      <p>Agents: {agents}</p>
    </main>
  );
}
