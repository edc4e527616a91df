import type { ClientHttp2Stream, ServerHttp2Stream } from 'node:http2'

/** Request bytes that are kept for another try. A call with a larger request is sent only once. */
const REPLAY_LIMIT_BYTES = 1024 * 1024

/** The request of a forwarded call: read as it arrives, and kept while it may have to be sent again. */
export class RequestBody {
  readonly #source: ServerHttp2Stream | undefined
  #kept: Buffer[] | undefined
  #bytes = 0
  #complete: boolean
  #reading = false
  #target: ClientHttp2Stream | undefined

  private constructor(source: ServerHttp2Stream | undefined, kept: Buffer[]) {
    this.#source = source
    this.#kept = kept
    this.#complete = source === undefined
  }

  /** A request that the caller is still sending. Nothing is read before there is a target. */
  static from(source: ServerHttp2Stream): RequestBody {
    return new RequestBody(source, [])
  }

  /** A request that has been read already, within the limits of its reader. */
  static whole(bytes: Buffer): RequestBody {
    return new RequestBody(undefined, [bytes])
  }

  get replayable(): boolean {
    return this.#kept !== undefined
  }

  /** Sends the kept chunks, then the chunks to come. */
  sendTo(target: ClientHttp2Stream): void {
    this.#target = target
    for (const chunk of this.#kept ?? []) target.write(chunk)
    if (this.#complete) {
      target.end()
      return
    }
    target.on('drain', () => this.#source?.resume())
    if (this.#reading) this.#source?.resume()
    else this.#read()
  }

  /** Call when the target is gone and another may follow. */
  hold(): void {
    this.#target = undefined
    if (this.#reading) this.#source?.pause()
  }

  /** Call when nothing will be sent again. */
  forget(): void {
    this.#kept = undefined
  }

  #read(): void {
    this.#reading = true
    this.#source?.on('data', (chunk: Buffer) => {
      this.#keep(chunk)
      if (this.#target?.writable && !this.#target.write(chunk)) this.#source?.pause()
    })
    this.#source?.on('end', () => {
      this.#complete = true
      if (this.#target?.writable) this.#target.end()
    })
  }

  #keep(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > REPLAY_LIMIT_BYTES) this.#kept = undefined
    else this.#kept?.push(chunk)
  }
}
