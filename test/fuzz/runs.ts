/** `npm test` always uses the same input. `npm run fuzz` uses new input each time and prints how to repeat it. */
export const SEED = Number(process.env.FUZZ_SEED ?? 42)

if (process.env.FUZZ_SEED !== undefined) process.stderr.write(`FUZZ_SEED=${SEED}\n`)

/** How many generated inputs a test tries: `few` in `npm test`, and many times as many in `npm run fuzz`. */
export function runs(few: number): number {
  return few * Number(process.env.FUZZ_FACTOR ?? 1)
}

/** The settings in fast-check's form. */
export function made(few: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: SEED, numRuns: runs(few) }
}
