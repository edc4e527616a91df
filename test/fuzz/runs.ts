/** `npm run fuzz` asks for more runs, each time with another seed. */
const { FUZZ_RUNS, FUZZ_SEED } = process.env

/** A few runs, always the same, unless a longer run is asked for. `share`: of the runs, for slow properties. */
export function runs(share = 1): { readonly numRuns: number; readonly seed?: number } {
  const numRuns = Math.max(1, Math.round(Number(FUZZ_RUNS ?? 1000) * share))
  const seed = FUZZ_SEED ?? (FUZZ_RUNS === undefined ? 1 : undefined)
  return { numRuns, ...(seed !== undefined && { seed: Number(seed) }) }
}
