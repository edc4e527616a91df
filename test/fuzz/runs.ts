/** The same input in every `npm test`, another in each `npm run fuzz`, which tells how to have it again. */
export const SEED = Number(process.env.FUZZ_SEED ?? 42)

if (process.env.FUZZ_SEED !== undefined) process.stderr.write(`FUZZ_SEED=${SEED}\n`)

/** How much made-up input a test tries: `few` in `npm test`, many times that in `npm run fuzz`. */
export function runs(few: number): number {
  return few * Number(process.env.FUZZ_FACTOR ?? 1)
}

/** As fast-check takes them. */
export function made(few: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: SEED, numRuns: runs(few) }
}
