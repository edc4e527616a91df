import * as v from 'valibot'
import type { Bed } from '../../node/bed.ts'
import { enbiShim } from '../commands/enbi-shim.ts'

const findingSchema = v.strictObject({
  check: v.string(),
  outcome: v.picklist(['ok', 'warning', 'failed', 'skipped']),
  text: v.string(),
  wayOut: v.optional(v.string()),
})
export type Found = v.InferOutput<typeof findingSchema>

export interface Diagnosis {
  readonly exitCode: number | undefined
  readonly findings: readonly Found[]
  /** The finding of a check; undefined if the check did not run. */
  of(check: string): Found | undefined
}

/** Runs doctor with a config inside a bed. */
export async function runDoctor(bed: Bed, ...args: readonly string[]): Promise<Diagnosis> {
  const { stdout, exitCode } = await enbiShim(bed, ['doctor', '--json', ...args])
  const findings = stdout.split('\n').map(line => v.parse(findingSchema, JSON.parse(line)))
  return { exitCode, findings, of: name => findings.find(({ check }) => check === name) }
}
