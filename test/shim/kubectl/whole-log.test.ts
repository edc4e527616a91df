import { createReadStream } from 'node:fs'
import { mkdtempDisposable, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { NodeLogCall, NodeLogPart } from '../../../kube/client/contract.ts'
import { createWholeLog } from '../../../shim/kubectl/whole-log.ts'
import { openOwnLogFiles } from '../../../shim/nix/log/own-log-files.ts'

/** As a kubelet answers for a folder. */
function serve(folder: string) {
  return async ({ path, from }: NodeLogCall): Promise<NodeLogPart | undefined> => {
    const file = join(folder, path.at(-1) ?? '')
    const size = await stat(file).then(
      ({ size }) => size,
      () => undefined,
    )
    if (size === undefined) return undefined
    return from > 0 && from >= size ? { body: undefined, size } : { body: createReadStream(file, { start: from }) }
  }
}

it('a log that grows and is rotated is written once, in order', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'whole-log-'))
  let written = ''
  const log = createWholeLog({
    run: { node: 'node-1', runId: 'run' },
    kube: { nodeLog: serve(dir.path) },
    write: async text => {
      written += text
    },
    signal: new AbortController().signal,
  })
  expect(await log.writeNew()).toBe(false)
  const files = await openOwnLogFiles({ dir: dir.path, name: 'run.log', maxSize: 60 })
  const lines = Array.from({ length: 20 }, (_, index) => `line ${index} \u001b[31mred\u001b[0m\n`)
  for (const line of lines) {
    await files.makeRoom(line)
    await files.append(line)
    expect(await log.writeNew()).toBe(true)
  }
  await files.close()
  expect(written).toBe(Array.from({ length: 20 }, (_, index) => `line ${index} red\n`).join(''))
})
