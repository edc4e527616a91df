import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import type { NodeLogCall, NodeLogPart } from '../../../kube/client/contract.ts'
import { nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { FinalError, RetryableError } from '../../../lib/errors.ts'
import { createLogView } from '../../../shim/kubectl/logs.ts'

const LOG = 'one\ntwo\nthree\nfour\n'

function build(logTail: string) {
  const metadata = {
    ...{ name: 'app', namespace: 'team', uid: '1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
  }
  const spec = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }
  const status = { status: 'Building', buildNode: 'node-1', buildJobName: '20260101T000000Z-0a1b2c3d', logTail }
  return nixBuilds.parse({ metadata, spec, status })
}

/** A log of 3 lines, then as `answers` say, one after the other. */
async function show(answers: readonly ('log' | 'cut' | Error)[], tails: readonly string[]) {
  let asked = 0
  async function nodeLog({ path, from }: NodeLogCall): Promise<NodeLogPart | undefined> {
    if (path.at(-1)?.endsWith('.1')) return undefined
    const answer = answers[asked]
    asked += 1
    if (answer instanceof Error) throw answer
    const rest = Buffer.from(LOG).subarray(from)
    if (answer === 'log') return rest.length > 0 ? { body: Readable.from([rest]) } : { body: undefined, size: from }
    async function* cut() {
      yield Buffer.from('one\ntwo\nthr')
      throw new Error('reset')
    }
    return { body: Readable.from(cut()) }
  }
  const output = new PassThrough()
  const notes: string[] = []
  const io = { output, notes: { write: (note: string) => notes.push(note) }, signal: new AbortController().signal }
  const view = createLogView({ kube: { nodeLog } }, io)
  for (const [index, tail] of tails.entries()) await view.show(build(tail), index === tails.length - 1)
  output.end()
  return { written: await text(output), notes }
}

const away = new RetryableError('ClusterAway', 'busy')
const refused = new FinalError('ClusterRefused', 'no')

it('a failure that passes is tried again, and nothing is written twice', async () => {
  expect(await show([away, 'cut', 'log'], ['one', 'one', 'one'])).toEqual({ written: LOG, notes: [] })
})

it('the last lines continue where the whole log has ended', async () => {
  const { written, notes } = await show(['log', away], ['three\nfour', 'four\nfive'])
  expect(written).toBe(`${LOG}five\n`)
  expect(notes).toEqual(['only the last lines: busy\n'])
})

it('a refusal is final', async () => {
  const { written, notes } = await show([refused, 'log'], ['one\ntwo', 'two\nthree'])
  expect(written).toBe('one\ntwo\nthree\n')
  expect(notes).toHaveLength(1)
})
