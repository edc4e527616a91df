import type { Readable } from 'node:stream'
import type { NodeLogs } from '../../kube/client/contract.ts'
import { messageOf, RetryableError } from '../../lib/errors.ts'
import { cleanText } from '../../lib/text/text.ts'
import { LOG_FOLDER } from '../wire/run-id.ts'

/** A run on a node, with its log. */
export interface LoggedRun {
  readonly node: string
  readonly runId: string
}

export interface WholeLogOptions {
  readonly run: LoggedRun
  readonly kube: NodeLogs
  /** Resolves when more can be taken. */
  readonly write: (text: string) => Promise<void>
  readonly signal: AbortSignal
}

/** The file of a run's log, through the kubelet of its node. */
export interface WholeLog {
  /**
   * Writes what has come since the last call, which may have failed. Returns false if there is no file. Throws the errors
   * of a Kube.
   */
  writeNew(): Promise<boolean>
}

export function createWholeLog({ run: { node, runId }, kube, write, signal }: WholeLogOptions): WholeLog {
  /** Of the file and of the one before it, in bytes. */
  let from = 0
  let fromBefore = 0
  let isBegun = false
  /** The rest of the file before is still to be copied. */
  let isRotated = false
  const ask = (name: string, from: number) => kube.nodeLog({ node, path: [LOG_FOLDER, name], from, signal })

  async function copyBefore(): Promise<void> {
    const part = await ask(`${runId}.log.1`, fromBefore)
    if (part?.body === undefined) return
    await writeText(part.body, write, bytes => {
      fromBefore += bytes
    })
  }

  async function copyNew(body: Readable): Promise<void> {
    await writeText(body, write, bytes => {
      from += bytes
    })
  }

  return {
    async writeNew() {
      const name = `${runId}.log`
      if (!isBegun) await copyBefore()
      const part = await ask(name, from)
      if (part === undefined) return isBegun
      isBegun = true
      if (part.body !== undefined) await copyNew(part.body)
      else if (part.size < from) {
        // It has been rotated: the rest of what was there, and what has come since.
        if (!isRotated) fromBefore = from
        isRotated = true
        await copyBefore()
        isRotated = false
        from = 0
        const next = await ask(name, 0)
        if (next?.body !== undefined) await copyNew(next.body)
      }
      return true
    },
  }
}

/** Longer lines are written in parts. In bytes. */
const MAX_LINE = 64 * 1024
const NEWLINE = 0x0a

/**
 * The shim has cleaned the text, but not every node need be one's own. Calls `onWritten` with the number of bytes after
 * each write, so that nothing is written twice if the body fails. Throws ClusterAway if it does.
 */
async function writeText(
  body: Readable,
  write: WholeLogOptions['write'],
  onWritten: (bytes: number) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  let rest = Buffer.alloc(0)
  const writeStart = async (end: number) => {
    const text = decoder.decode(rest.subarray(0, end), { stream: true })
    rest = rest.subarray(end)
    await write(cleanText(text))
    onWritten(end)
  }
  try {
    for await (const chunk of body) {
      rest = Buffer.concat([rest, chunk])
      const end = rest.length > MAX_LINE ? rest.length : rest.lastIndexOf(NEWLINE) + 1
      if (end > 0) await writeStart(end)
    }
  } catch (error) {
    if (error !== body.errored) throw error
    throw new RetryableError('ClusterAway', `the log has ended early: ${messageOf(error)}`, { cause: error })
  }
  if (rest.length > 0) await writeStart(rest.length)
}
