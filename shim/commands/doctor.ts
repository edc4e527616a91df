import { allChecks, type DoctorOptions } from '../doctor/all-checks.ts'
import { createFindingView } from '../doctor/finding-view.ts'
import { type NamedFinding, runChecks } from '../doctor/run-checks.ts'

export interface DoctorIo {
  readonly json: boolean
  readonly output: NodeJS.WriteStream
}

/** Checks everything that a pull needs on this node and shows the findings. Resolves to whether no check has failed. */
export async function doctor(plan: DoctorOptions, { json, output }: DoctorIo): Promise<boolean> {
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

/** Resolves when the stream has been written out, or its reader has gone. */
function writtenOut(output: NodeJS.WriteStream): Promise<void> {
  return new Promise(resolve => {
    if (output.destroyed) resolve()
    else output.write('', () => resolve())
  })
}
