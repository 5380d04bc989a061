// OpenCode puts every folder outside a git repository into one project at /, where oc-web would then let the agent work.

export interface Project {
  id: string;
  worktree: string;
}

export function placeProject<T extends Project>(project: T, workspace: string): T {
  return project.worktree === "/" ? { ...project, worktree: workspace } : project;
}

// The workspace's own project first, then the others.
export function placeProjects<T extends Project>(own: T, known: T[], workspace: string): T[] {
  const others = known.filter(({ id }) => id !== own.id);
  return [own, ...others].map((project) => placeProject(project, workspace));
}
