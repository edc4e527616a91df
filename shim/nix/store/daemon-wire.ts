import { connect, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { quote } from '../../../lib/text/quote.ts'

/** The encoding of the Nix daemon's protocol (as in Nix's libutil): 64-bit numbers and padded strings. */
export interface DaemonWire {
  send(...parts: readonly (number | string)[]): void
  readNumber(): Promise<number>
  readString(): Promise<string>
  /** Throws if one of the strings is not as expected. */
  readStrings(isExpected: (string: string) => boolean): Promise<string[]>
  close(): void
}

const WORD_BYTES = 8
/** In bytes; a longer string cannot be an answer to our queries. */
const MAX_STRING_BYTES = 1024 * 1024
/** Strings in one list. */
const MAX_STRINGS = 20_000
const MAX_STRINGS_BYTES = 8 * 1024 * 1024

export async function openDaemonWire(path: string, signal: AbortSignal): Promise<DaemonWire> {
  const socket = await connected(path, signal)
  const chunks = socket[Symbol.asyncIterator]()
  let pending: Buffer = Buffer.alloc(0)

  async function take(length: number): Promise<Buffer> {
    if (pending.length < length) {
      const parts = [pending]
      for (let gathered = pending.length; gathered < length; ) {
        // Otherwise the stream reads 2 MiB before other tasks run.
        await setImmediate()
        const { done, value } = await chunks.next()
        if (done) throw new Error('the Nix daemon has closed the connection')
        parts.push(value)
        gathered += value.length
      }
      pending = Buffer.concat(parts)
    }
    const taken = pending.subarray(0, length)
    pending = pending.subarray(length)
    return taken
  }

  async function readNumber(): Promise<number> {
    return Number((await take(WORD_BYTES)).readBigUInt64LE())
  }

  async function readString(): Promise<string> {
    const length = await readNumber()
    if (length > MAX_STRING_BYTES) throw new Error(`the Nix daemon sends a string of ${length} bytes`)
    return (await take(padded(length))).toString('utf8', 0, length)
  }

  /** The next string if it has arrived completely: a list has thousands, and awaiting each would take most of the time. */
  function nextString(): string | undefined {
    if (pending.length < WORD_BYTES) return undefined
    const length = Number(pending.readBigUInt64LE())
    const end = WORD_BYTES + padded(length)
    if (pending.length < end) return undefined
    const string = pending.toString('utf8', WORD_BYTES, WORD_BYTES + length)
    pending = pending.subarray(end)
    return string
  }

  async function readStrings(isExpected: (string: string) => boolean): Promise<string[]> {
    const count = await readNumber()
    if (count > MAX_STRINGS) throw new Error(`the Nix daemon sends a list of ${count} strings`)
    const strings: string[] = []
    let left = MAX_STRINGS_BYTES
    while (strings.length < count && left >= 0) {
      const string = nextString() ?? (await readString())
      if (!isExpected(string)) throw new Error(`the Nix daemon sends ${quote(string)}`)
      left -= string.length
      strings.push(string)
    }
    if (left < 0) throw new Error(`the Nix daemon sends a list of more than ${MAX_STRINGS_BYTES} bytes`)
    return strings
  }

  return {
    send: (...parts) => void socket.write(Buffer.concat(parts.map(encode))),
    readNumber,
    readString,
    readStrings,
    close: () => void socket.destroy(),
  }
}

function connected(path: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, signal })
    socket.once('connect', () => resolve(socket)).on('error', reject)
  })
}

function encode(part: number | string): Buffer {
  if (typeof part === 'number') return word(part)
  const bytes = Buffer.from(part)
  return Buffer.concat([word(bytes.length), bytes, Buffer.alloc(padded(bytes.length) - bytes.length)])
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(WORD_BYTES)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function padded(length: number): number {
  return Math.ceil(length / WORD_BYTES) * WORD_BYTES
}
