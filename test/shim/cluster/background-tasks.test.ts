import { pino } from 'pino'
import { expect, it, onTestFinished, vi } from 'vitest'
import type { Kube } from '../../../kube/client/contract.ts'
import { FinalError } from '../../../lib/errors.ts'
import { startBackgroundTasks } from '../../../shim/cluster/background-tasks.ts'
import { createNodeBuilds } from '../../../shim/cluster/builds/node-builds.ts'
import { NODE } from './builds/runs.ts'

it('a shim obeys its NixNode although the API server refuses every write', async () => {
  vi.useFakeTimers()
  const stop = new AbortController()
  onTestFinished(() => {
    stop.abort()
    vi.useRealTimers()
  })
  const letGo: string[] = []
  const tasks = startBackgroundTasks({
    kube: readOnly({ letGo: ['uid-of-web'], namespaces: ['team'] }),
    ...{ node: NODE, leaseMs: 40_000, facts: {}, restored: Promise.resolve() },
    builds: createNodeBuilds({ node: NODE, now: Date.now, onPresent: () => {} }),
    letGo: pods => void letGo.push(...pods),
    pullImage: () => Promise.reject(new Error('nothing is assigned')),
    ...{ signal: stop.signal, logger: pino({ level: 'silent' }) },
  })
  expect(tasks.mayHaveNixBuild('other')).toBe(true)
  await vi.advanceTimersByTimeAsync(20_000)
  expect(letGo).toContain('uid-of-web')
  expect(['team', 'other'].map(tasks.mayHaveNixBuild)).toEqual([true, false])
})

/** An API server that has this node's NixNode. */
function readOnly(spec: object): Kube {
  const refuse = () => Promise.reject(new FinalError('ClusterRefused', 'no rights'))
  const metadata = { name: NODE, uid: '1', resourceVersion: '1', generation: 1, creationTimestamp: '' }
  return {
    ...{ get: refuse, list: refuse, create: refuse, patch: refuse, replace: refuse, delete: refuse },
    async *watch(_, { signal }) {
      yield { type: 'ADDED', object: { metadata, spec } }
      yield { type: 'BOOKMARK', resourceVersion: '1', endsInitial: true }
      await new Promise(resolve => signal.addEventListener('abort', resolve))
    },
    async close() {},
  }
}
