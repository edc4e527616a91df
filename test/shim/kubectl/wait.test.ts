import { expect, it } from 'vitest'
import { apiError, readApiStatus } from '../../../kube/client/api-error.ts'
import { findAgain } from '../../../shim/kubectl/wait.ts'

/** Looks again at an API server that answers with these HTTP statuses, one after the other, and then well. */
async function lookAgain(statuses: readonly number[], signal = new AbortController().signal) {
  let attempts = 0
  const findOrNone = async () => {
    const status = statuses[attempts]
    attempts += 1
    if (status !== undefined) throw apiError('list nixbuilds', readApiStatus(status, ''))
    return { builds: [], others: [] }
  }
  const notes: string[] = []
  const io = { notes: { write: (note: string) => notes.push(note) }, signal }
  const found = await findAgain({ findOrNone }, io).catch((error: unknown) => error)
  return { found, notes, attempts }
}

it('wait looks again after an API server was away, with one note', async () => {
  expect(await lookAgain([503])).toEqual({ found: { builds: [], others: [] }, notes: [], attempts: 2 })
  expect(await lookAgain([503, 429, 502])).toEqual({
    found: { builds: [], others: [] },
    notes: [expect.stringContaining('waiting for the API server')],
    attempts: 4,
  })
})

it('wait gives up when the API server refuses, or after its timeout', async () => {
  expect(await lookAgain([503, 403])).toMatchObject({ found: { code: 'ClusterRefused' }, attempts: 2 })
  expect(await lookAgain([401, 401, 401])).toMatchObject({ found: { code: 'ClusterRefused' }, attempts: 3 })
  expect(await lookAgain([503], AbortSignal.abort())).toMatchObject({ found: { code: 'ClusterAway' }, attempts: 1 })
})

it('wait continues after one refused token that follows an outage', async () => {
  expect(await lookAgain([503, 503, 401])).toMatchObject({ found: { builds: [], others: [] }, attempts: 4 })
})
