/**
 * How long tests wait for what comes some time, before they give up. It only ends a test that would hang: a machine may be so busy
 * that everything takes many times as long. Less than a test may take altogether (vitest.config.ts).
 */
export const PATIENCE_MS = 180_000

/** For `expect.poll` and `vi.waitFor`. */
export const PATIENT = { timeout: PATIENCE_MS, interval: 100 }

/** The same, where each look starts a program. */
export const PATIENT_BY_PROGRAM = { timeout: PATIENCE_MS, interval: 300 }

/** For kubectl's `--timeout`. */
export const PATIENCE = `${PATIENCE_MS / 1000}s`
