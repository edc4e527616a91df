import { FinalError } from '../../lib/errors.ts'

/**
 * In bytes. etcd limits objects to 1.5 MB, and JSON escapes a character of one byte with up to six: each object can be
 * read.
 */
export const MAX_OBJECT = 16 * 1024 * 1024

/** Longer than the metadata of a list. In bytes. */
const END_LENGTH = 8 * 1024

/** Cause of a failure: the answer exceeded the limit and was not kept. */
export class AnswerTooLarge extends Error {
  /** The first and the last bytes of the answer, if it was read to its end. */
  readonly ends: BodyEnds | undefined

  constructor(max: number, ends?: BodyEnds) {
    super(`larger than ${max} bytes`)
    this.ends = ends
  }
}

export interface BodyEnds {
  readonly begin: string
  readonly end: string
}

export interface BodyLimits {
  /** Longest body in bytes. By default that of one object. */
  readonly max?: number
  /** Reads a longer body to its end and keeps its ends. */
  readonly keepsEnds?: boolean
}

/** Throws ClusterRefused if the body is too large. */
export async function readBody(
  operation: string,
  chunks: AsyncIterable<Buffer>,
  { max = MAX_OBJECT, keepsEnds = false }: BodyLimits = {},
): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  let ends: { readonly begin: Buffer; end: Buffer } | undefined
  for await (const chunk of chunks) {
    size += chunk.length
    if (size > max && !keepsEnds) throw tooLarge(operation, max)
    if (ends) ends.end = Buffer.concat([ends.end, chunk]).subarray(-END_LENGTH)
    else parts.push(chunk)
    if (ends === undefined && size > max) {
      const read = Buffer.concat(parts.splice(0))
      ends = { begin: read.subarray(0, END_LENGTH), end: read.subarray(-END_LENGTH) }
    }
  }
  if (ends) throw tooLarge(operation, max, { begin: ends.begin.toString(), end: ends.end.toString() })
  return Buffer.concat(parts, size).toString()
}

export function tooLarge(operation: string, max: number, ends?: BodyEnds): FinalError {
  const cause = new AnswerTooLarge(max, ends)
  return new FinalError('ClusterRefused', `cannot ${operation}: the answer is larger than ${max} bytes`, { cause })
}
