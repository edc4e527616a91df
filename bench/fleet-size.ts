/** What the group `fleet` measures. The page about scale divides its figures by these. */
export const FLEET = {
  /** Nodes that pull one recipe at the same time. */
  herd: 200,
  nodes: 5_000,
  pods: 20_000,
  recipes: 2_000,
} as const
