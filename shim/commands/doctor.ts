import { allChecks, type DoctorPlan } from '../doctor/all-checks.ts'
import { type NamedFinding, runChecks } from '../doctor/run-checks.ts'
import { createFindingView } from '../status/finding-view.ts'
import { writtenOut } from '../status/write-out.ts'

export interface DoctorIo {
  readonly json: boolean
  readonly output: NodeJS.WriteStream
}

/** Looks at all that a pull needs on this node and shows what it finds. Resolves to whether nothing has failed. */
export async function doctor(plan: DoctorPlan, { json, output }: DoctorIo): Promise<boolean> {
  const { checks, close } = await allChecks(plan)
  const show = createFindingView({ json, output })
  const found: NamedFinding[] = []
  try {
    for await (const finding of runChecks(checks)) {
      show(finding)
      found.push(finding)
    }
  } finally {
    await close()
  }
  await writtenOut(output)
  return found.every(({ outcome }) => outcome !== 'failed')
}
