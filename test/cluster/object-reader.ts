import type { IncomingMessage } from 'node:http'
import { Agent, get } from 'node:https'
import { text } from 'node:stream/consumers'
import type { Access } from './access.ts'

export interface ObjectReader extends Disposable {
  /** The object at that path of the API server, such as `/api/v1/nodes/NAME`. */
  read(path: string): Promise<unknown>
}

/** Reads as the administrator over a persistent connection. Polling with kubectl would start a hundred processes. */
export function createObjectReader({ server, token, certificate }: Access): ObjectReader {
  const agent = new Agent({ keepAlive: true, ca: certificate })
  const options = { agent, headers: { authorization: `Bearer ${token}` } }
  return {
    async read(path) {
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
      get(new URL(path, server), options, resolve).once('error', reject)
      const answer = await promise
      const body = await text(answer)
      if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.statusCode} ${body}`)
      return JSON.parse(body)
    },
    [Symbol.dispose]: () => agent.destroy(),
  }
}
