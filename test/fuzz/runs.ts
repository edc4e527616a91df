/** The same input in every run of the tests; `npm run fuzz` takes another each time, and tells it. */
export const SEED = Number(process.env.FUZZ_SEED ?? 42)

/** How much made-up input a test tries: `few` in `npm test`, many times that in `npm run fuzz`. */
export function runs(few: number): number {
  return few * Number(process.env.FUZZ_FACTOR ?? 1)
}

/** As fast-check takes them. */
export function made(few: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: SEED, numRuns: runs(few) }
}
