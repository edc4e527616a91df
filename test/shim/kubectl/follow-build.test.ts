import { expect, it } from 'vitest'
import { apiError, readApiStatus } from '../../../kube/client/api-error.ts'
import type { WatchEvent } from '../../../kube/client/contract.ts'
import { followBuild } from '../../../shim/kubectl/follow-build.ts'

const OBJECT = {
  metadata: {
    name: 'app',
    namespace: 'team',
    uid: '1',
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
  spec: { flakeUrl: 'github:team/app', imageTag: 'registry.example/app:1', packageName: 'app', system: 'x86_64-linux' },
}

/** Follows a NixBuild whose watches fail with these HTTP statuses, one after the other, and then show it. */
async function follow(...statuses: number[]) {
  let attempts = 0
  async function* watch(): AsyncGenerator<WatchEvent> {
    const status = statuses[attempts]
    attempts += 1
    if (status !== undefined) throw apiError('watch nixbuilds', readApiStatus(status, ''))
    yield { type: 'ADDED', object: OBJECT }
  }
  const notes: string[] = []
  const options = { onAway: (note: string) => notes.push(note), signal: new AbortController().signal }
  const first = followBuild({ namespace: 'team', name: 'app' }, { kube: { watch } }, options).next()
  const result = await first.then(
    ({ value }) => value?.metadata.name,
    (error: unknown) => error,
  )
  return { result, notes, attempts }
}

it('an API server that is away is waited for, with one note', async () => {
  expect(await follow(503)).toMatchObject({ result: 'app', notes: [] })
  const { result, notes } = await follow(503, 503, 429)
  expect(result).toBe('app')
  expect(notes).toEqual([expect.stringContaining('waiting for the API server')])
})

it('credentials may be renewed, but not without end', async () => {
  expect(await follow(401, 401)).toMatchObject({ result: 'app' })
  expect(await follow(503, 503, 401)).toMatchObject({ result: 'app' })
  expect(await follow(401, 401, 401, 401)).toMatchObject({
    result: { code: 'ClusterRefused', message: expect.stringContaining('does not accept your credentials') },
    attempts: 3,
  })
})
