import { readBody } from './answer-body.ts'
import { callFailure, limitTime, retryAfterOf, sendUnlessBusy } from './api-call.ts'
import { apiError, readApiStatus } from './api-error.ts'
import type { Connection } from './connection.ts'
import type { NodeLogCall, NodeLogPart } from './contract.ts'
import type { Answer } from './transport.ts'

/** Time limit for the start of the answer. */
const BEGIN_MS = 10_000
const SILENCE_MS = 30_000

/** Asks the kubelet of a node through the API server. Throws the errors of `Kube`. */
export async function readNodeLog(connection: Connection, call: NodeLogCall): Promise<NodeLogPart | undefined> {
  const { node, path, from, signal } = call
  const operation = `read the log ${path.join('/')} of node ${node}`
  const limit = limitTime(BEGIN_MS, signal)
  const encoded = [node, 'proxy', 'logs', ...path].map(encodeURIComponent).join('/')
  try {
    const request = {
      method: 'GET',
      path: `/api/v1/nodes/${encoded}`,
      headers: { ...(from > 0 && { range: `bytes=${from}-` }) },
      signal: limit.signal,
      silenceMs: SILENCE_MS,
    } as const
    const answer = await sendUnlessBusy(connection, request, limit.leftMs)
    limit.stopTimer()
    answer.body.once('close', limit.end)
    return await readAnswer(operation, answer, from)
  } catch (error) {
    const reason = limit.reason()
    limit.end()
    throw callFailure(operation, error, reason)
  }
}

async function readAnswer(operation: string, answer: Answer, from: number): Promise<NodeLogPart | undefined> {
  const { statusCode, headers, body } = answer
  if (statusCode === 206 || (statusCode === 200 && from === 0)) return { body }
  const text = await readBody(operation, body)
  if (statusCode === 416)
    return { body: undefined, size: Number(/\/(\d{1,15})$/.exec(headers['content-range'] ?? '')?.[1] ?? 0) }
  const status = readApiStatus(statusCode, parse(text), retryAfterOf(answer))
  // Not the node, but the file: its kubelet answers with a text.
  if (statusCode === 404 && status.reason === '') return undefined
  throw apiError(operation, status)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
