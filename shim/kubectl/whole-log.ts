import type { Readable } from 'node:stream'
import type { NodeLogs } from '../../kube/client/contract.ts'
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
  /** Writes what has come since the last call. Returns false if there is no file. Throws the errors of a Kube. */
  writeNew(): Promise<boolean>
}

export function createWholeLog({ run: { node, runId }, kube, write, signal }: WholeLogOptions): WholeLog {
  let from = 0
  let isBegun = false
  const ask = (name: string, from: number) => kube.nodeLog({ node, path: [LOG_FOLDER, name], from, signal })

  /** Returns the number of bytes; undefined if there is no file. */
  async function copy(name: string, from: number): Promise<number | undefined> {
    const part = await ask(name, from)
    return part?.body === undefined ? undefined : writeText(part.body, write)
  }

  return {
    async writeNew() {
      const name = `${runId}.log`
      const before = `${name}.1`
      if (!isBegun) await copy(before, 0)
      const part = await ask(name, from)
      if (part === undefined) return isBegun
      isBegun = true
      if (part.body !== undefined) from += await writeText(part.body, write)
      else if (part.size < from) {
        // It has been rotated: the rest of what was there, and what has come since.
        await copy(before, from)
        from = (await copy(name, 0)) ?? 0
      }
      return true
    },
  }
}

/** Longer lines are written in parts. In characters. */
const MAX_LINE = 64 * 1024

/** The shim has cleaned the text, but not every node need be one's own. Returns the number of bytes. */
async function writeText(body: Readable, write: WholeLogOptions['write']): Promise<number> {
  const decoder = new TextDecoder()
  let bytes = 0
  let rest = ''
  for await (const chunk of body) {
    const data = Buffer.from(chunk)
    bytes += data.length
    rest += decoder.decode(data, { stream: true })
    const end = rest.length > MAX_LINE ? rest.length : rest.lastIndexOf('\n') + 1
    if (end > 0) await write(cleanText(rest.slice(0, end)))
    rest = rest.slice(end)
  }
  if (rest !== '') await write(cleanText(rest))
  return bytes
}
