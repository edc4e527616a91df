import { promisify } from 'node:util'
import { gunzip, inflate } from 'node:zlib'
import { HEADER_BYTES, MAX_MESSAGE_BYTES, messageLength } from '../../lib/grpc/frames.ts'
import { type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'
import { MAX_TIMER_MS } from '../../lib/text/units.ts'
import type { UnaryCall } from './contract.ts'
import { deadlineOf } from './deadline.ts'
import { CANCELLED, type Incoming, ignoreError, single } from './incoming.ts'

const REQUEST_LIMIT_BYTES = HEADER_BYTES + MAX_MESSAGE_BYTES
const DECOMPRESS = new Map([
  ['gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
])

const DEADLINE_EXCEEDED: GrpcStatus = { code: STATUS.DEADLINE_EXCEEDED, message: 'deadline exceeded' }
const TOO_LARGE: GrpcStatus = {
  code: STATUS.RESOURCE_EXHAUSTED,
  message: `grpc: received message larger than max (${REQUEST_LIMIT_BYTES} bytes with its frame)`,
}

interface OwnCallHooks {
  /** Called at most once, if the call is stopped: the caller left, the deadline passed, or the proxy closes. */
  readonly answer: (status: GrpcStatus) => void
  /** Called once, when the call is over or forwarded. */
  readonly onRelease: () => void
}

/** A call whose request the shim reads as a whole and whose deadline it enforces. */
export class OwnCall {
  readonly incoming: Incoming
  readonly #controller = new AbortController()
  readonly #answer: (status: GrpcStatus) => void
  readonly #onRelease: () => void
  readonly #callerLeft = () => this.stop(CANCELLED)
  #deadline: NodeJS.Timeout | undefined
  #over = false

  constructor(incoming: Incoming, { answer, onRelease }: OwnCallHooks) {
    this.incoming = incoming
    this.#answer = answer
    this.#onRelease = onRelease
    incoming.stream.on('error', ignoreError)
    incoming.stream.on('close', this.#callerLeft)
    const deadline = deadlineOf(incoming)
    if (deadline === undefined) return
    const left = deadline - incoming.receivedAt
    if (left <= MAX_TIMER_MS) this.#deadline = setTimeout(() => this.stop(DEADLINE_EXCEEDED), left)
  }

  /** False once the call has been answered, stopped or forwarded. */
  get running(): boolean {
    return !this.#over
  }

  stop(status: GrpcStatus): void {
    if (this.#over) return
    this.release()
    this.#answer(status)
    this.#controller.abort(new Error(status.message))
  }

  release(): void {
    this.#over = true
    this.#onRelease()
    clearTimeout(this.#deadline)
    this.incoming.stream.off('close', this.#callerLeft)
  }

  /** Aborted when the call is stopped early. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  toUnaryCall(request: Buffer): UnaryCall {
    const { path, headers } = this.incoming
    return { path, request, headers, signal: this.signal }
  }

  /** Reads the bytes of the request and calls back once; stops the call instead if they are too many. */
  readRequest(onWhole: (body: Buffer) => void): void {
    const { stream, bodiless } = this.incoming
    if (bodiless) {
      onWhole(Buffer.alloc(0))
      return
    }
    const chunks: Buffer[] = []
    let bytes = 0
    stream.on('data', (chunk: Buffer) => {
      if (!this.running) return
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > REQUEST_LIMIT_BYTES) this.stop(TOO_LARGE)
    })
    stream.on('end', () => {
      if (this.running) onWhole(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks))
    })
  }

  /**
   * The one message of a request. Undefined if the proxy cannot read it: several or broken frames, or an unknown
   * encoding.
   */
  async decode(body: Buffer): Promise<Buffer | undefined> {
    if (messageLength(body) !== body.length - HEADER_BYTES) return undefined
    const message = body.subarray(HEADER_BYTES)
    if (body[0] === 0) return message
    const decompress = DECOMPRESS.get(single(this.incoming.headers['grpc-encoding']) ?? '')
    if (body[0] !== 1 || decompress === undefined) return undefined
    return decompress(message, { maxOutputLength: MAX_MESSAGE_BYTES }).catch(() => undefined)
  }
}
