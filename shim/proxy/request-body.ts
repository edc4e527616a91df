/** Request bytes that are kept for another try; a call whose request is larger is sent once only. */
const REPLAY_LIMIT_BYTES = 1024 * 1024

/** The bytes of a request so far, kept until it is certain that they need not be sent again. */
export class RequestBody {
  #chunks: Buffer[] | undefined
  #bytes = 0
  #complete: boolean

  /** `chunks` may be beyond the limit: whoever read them had a limit of their own. */
  constructor(chunks: Buffer[], complete: boolean) {
    this.#chunks = chunks
    this.#complete = complete
  }

  /** The caller has sent its last byte. */
  get complete(): boolean {
    return this.#complete
  }

  get replayable(): boolean {
    return this.#chunks !== undefined
  }

  get chunks(): readonly Buffer[] {
    return this.#chunks ?? []
  }

  add(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > REPLAY_LIMIT_BYTES) this.#chunks = undefined
    else this.#chunks?.push(chunk)
  }

  end(): void {
    this.#complete = true
  }

  /** Nothing will be sent again. */
  forget(): void {
    this.#chunks = undefined
  }
}
