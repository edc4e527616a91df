import { expect, test } from 'vitest'
import { readBody } from '../../../kube/client/answer-body.ts'
import { apiError, isObjectMissing, readApiStatus } from '../../../kube/client/api-error.ts'

const status = (code: number, reason: string, message = 'because') => ({ kind: 'Status', code, reason, message })

test.each([
  [400, status(400, 'BadRequest'), 'ClusterRefused', 'the API server refuses to list pods: because'],
  [401, status(401, 'Unauthorized'), 'ClusterAway', 'cannot list pods now: because'],
  [403, status(403, 'Forbidden'), 'ClusterRefused', 'the API server refuses to list pods: because'],
  [404, '404 page not found\n', 'ClusterRefused', expect.stringMatching(/does not know this kind/)],
  [409, status(409, 'Conflict'), 'ClusterConflict', 'cannot list pods: because'],
  [409, status(409, 'AlreadyExists'), 'ClusterConflict', 'cannot list pods: because'],
  [410, status(410, 'Expired'), 'ClusterExpired', 'cannot list pods: because'],
  [410, status(410, 'Gone'), 'ClusterExpired', 'cannot list pods: because'],
  [413, '', 'ClusterRefused', 'the API server refuses to list pods: HTTP status 413'],
  [422, status(422, 'Invalid'), 'ClusterRefused', 'the API server refuses to list pods: because'],
  [429, status(429, 'TooManyRequests'), 'ClusterAway', 'cannot list pods now: because'],
  [500, status(500, 'InternalError'), 'ClusterAway', 'cannot list pods now: because'],
  [503, { some: 'thing else' }, 'ClusterAway', 'cannot list pods now: HTTP status 503'],
  [504, status(504, 'Timeout'), 'ClusterAway', 'cannot list pods now: because'],
  // The ERROR event of a watch: the status is in its object only.
  [500, status(410, 'Expired'), 'ClusterExpired', 'cannot list pods: because'],
])('%i with %j is %s', (code, body, error, message) => {
  const cause = readApiStatus(code, body)
  expect(apiError('list pods', cause)).toMatchObject({ code: error, message, cause })
})

test('a page of HTML is shortened', () => {
  expect(readApiStatus(502, '<p>'.repeat(10_000)).message.length).toBeLessThan(3_000)
})

test.each([
  ['an object', { ...status(404, 'NotFound'), details: { name: 'one', kind: 'pods' } }, true],
  ['a kind', { ...status(404, 'NotFound'), details: {} }, false],
  ['a path', '404 page not found', false],
])('a missing object differs from a missing kind: %s', (_, body, isMissing) => {
  expect(isObjectMissing(readApiStatus(404, body))).toBe(isMissing)
})

test('an endless answer is not kept in memory', async () => {
  let sent = 0
  async function* endless() {
    for (;;) {
      sent += 10
      yield Buffer.alloc(10, 'x')
    }
  }
  await expect(readBody('list pods', endless(), { max: 100 })).rejects.toThrow(
    /cannot list pods: the answer is larger than 100/,
  )
  expect(sent).toBe(110)
})
