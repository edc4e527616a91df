import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { call } from '../../../kube/client/api-call.ts'
import { pauseAfter } from '../../../kube/client/api-error.ts'
import type { Connection } from '../../../kube/client/connection.ts'
import type { Answer } from '../../../kube/client/transport.ts'
import { watchEvents } from '../../../kube/client/watch.ts'
import { FinalError } from '../../../lib/errors.ts'
import { configMaps } from '../config-maps.ts'

describe('an API server that is busy', () => {
  it('is asked again when it says so, over the same connection', async () => {
    const busy = answerOf(429, { after: '0.01' })
    const { connection, paths } = serve(busy, answerOf(200))
    expect(await call(connection, { operation: 'get', method: 'GET', path: '/a' })).toEqual({})
    expect(paths).toEqual(['/a', '/a'])
    expect(busy.body.readableEnded).toBe(true)
  })

  it('is left alone by a request whose time would be over, and has its say in the pause', async () => {
    const { connection, paths } = serve(answerOf(503, { after: '20' }))
    const error = await call(connection, { operation: 'get', method: 'GET', path: '/a' }).catch(error => error)
    expect(error).toMatchObject({ code: 'ClusterAway', message: expect.stringContaining('HTTP status 503') })
    expect(paths).toEqual(['/a'])
    expect(pauseAfter(error, 1)).toBe(20_000)
  })

  it.each([401, 429, 502, 503, 504])('and answers a watch with %i is not asked for a list', async status => {
    const { connection, paths } = serve(answerOf(status), answerOf(200))
    await expect(readAll(connection)).rejects.toThrow(expect.objectContaining({ code: 'ClusterAway' }))
    expect(paths).toEqual([expect.stringContaining('watch=true')])
  })

  it.each([422, 500])('and refuses to stream with %i is asked for a list', async status => {
    const { connection, paths } = serve(answerOf(status), answerOf(403))
    await expect(readAll(connection)).rejects.toThrow(expect.objectContaining({ code: 'ClusterRefused' }))
    expect(paths).toEqual([expect.stringContaining('watch=true'), expect.stringContaining('limit=')])
  })
})

describe('the pause after a failure', () => {
  it('is the own one if the API server says nothing', () => {
    expect(pauseAfter(new FinalError('ClusterRefused', 'no'), 300)).toBe(300)
  })
})

async function readAll(connection: Connection): Promise<void> {
  for await (const _ of watchEvents(connection, configMaps, { signal: new AbortController().signal }));
}

function answerOf(statusCode: number, { after }: { after?: string } = {}): Answer {
  const headers = after === undefined ? {} : { 'retry-after': after }
  return { statusCode, headers, body: Readable.from([Buffer.from('{}')]) }
}

/** Gives these answers, one after another. */
function serve(...answers: Answer[]) {
  const paths: string[] = []
  const connection: Connection = {
    async send({ path }) {
      paths.push(path)
      const answer = answers.shift()
      if (answer === undefined) throw new Error('there is no other answer')
      return answer
    },
    async close() {},
  }
  return { connection, paths }
}
