import http2, { type ClientHttp2Session, constants } from 'node:http2'
import net, { type Socket } from 'node:net'
import type { Logger } from 'pino'
import { SESSION_OPTIONS, widenConnectionWindow } from './session-options.ts'

export interface Upstreams {
  /** Where calls of the method with that path go. */
  of(path: string): Upstream
  close(): Promise<void>
}

export interface UpstreamsOptions {
  /** Path of containerd's socket. */
  readonly upstream: string
  /** Path of the socket for calls of CRI's image service; containerd's by default. */
  readonly imageService?: string | undefined
}

/** Connects to containerd and to the image service, if that is another program. */
export function createUpstreams({ upstream, imageService }: UpstreamsOptions, logger: Logger): Upstreams {
  const containerd = new Upstream({ name: 'containerd', path: upstream, logger })
  if (imageService === undefined) return { of: () => containerd, close: () => containerd.close() }
  const images = new Upstream({ name: `the image service at ${imageService}`, path: imageService, logger })
  return {
    of: path => (isOfImageService(path) ? images : containerd),
    async close() {
      await Promise.all([containerd.close(), images.close()])
    },
  }
}

/** Whether the method is one of `runtime.v1.ImageService`, or of older kubelets' `runtime.v1alpha2.ImageService`. */
function isOfImageService(path: string): boolean {
  return path.startsWith('/runtime.') && path.split('/')[1]?.endsWith('.ImageService') === true
}

/** The pauses between attempts to connect grow by a step up to the limit. Without waiting calls there are no attempts. */
const RECONNECT_STEP_MS = 50
const RECONNECT_LIMIT_MS = 250
/** A server that accepts the connection must send its settings within this time. */
const GREETING_LIMIT_MS = 5000

/** A connection to an upstream. */
export interface Connection {
  readonly session: ClientHttp2Session
  readonly socket: Socket
  /** Streams above it were not processed; set by a GOAWAY. */
  lastStreamId: number
  greeted: boolean
}

interface UpstreamOptions {
  readonly name: string
  /** Path of its socket. */
  readonly path: string
  readonly logger: Logger
}

/** Connects to containerd, or to another image service, when a call needs it, and again after a loss. */
export class Upstream {
  /** For messages. */
  readonly name: string
  readonly #path: string
  readonly #logger: Logger
  readonly #waiters = new Set<(connection: Connection) => void>()
  readonly #connections = new Set<Connection>()
  #ready: Connection | undefined
  #connecting = false
  #failures = 0
  #retryTimer: NodeJS.Timeout | undefined
  #closed = false

  constructor({ name, path, logger }: UpstreamOptions) {
    this.name = name
    this.#path = path
    this.#logger = logger
  }

  /** The connection for a new call, if there is one. */
  get ready(): Connection | undefined {
    const connection = this.#ready
    if (connection === undefined || connection.session.closed || isLost(connection)) return undefined
    return connection
  }

  /** Calls `waiter` once with a connection, however long that takes. Returns how to stop waiting. */
  wait(waiter: (connection: Connection) => void): () => void {
    this.#waiters.add(waiter)
    this.#connect()
    return () => this.#waiters.delete(waiter)
  }

  /** Ends all connections immediately. */
  async close(): Promise<void> {
    this.#closed = true
    this.#waiters.clear()
    clearTimeout(this.#retryTimer)
    const closed = [...this.#connections].map(({ session }) => new Promise(resolve => session.once('close', resolve)))
    for (const { session, socket } of this.#connections) {
      session.destroy()
      // After a GOAWAY the session would wait for its peer to hang up.
      socket.destroy()
    }
    await Promise.all(closed)
  }

  #connect(): void {
    if (this.#connecting || this.#closed || this.#retryTimer !== undefined) return
    this.#connecting = true
    const socket = net.connect(this.#path)
    const session = http2.connect('http://localhost', { ...SESSION_OPTIONS, createConnection: () => socket })
    const connection: Connection = { session, socket, lastStreamId: Number.POSITIVE_INFINITY, greeted: false }
    const greeting = setTimeout(() => socket.destroy(), GREETING_LIMIT_MS)
    let failure: unknown
    this.#connections.add(connection)
    session.on('error', error => {
      failure = error
    })
    session.once('remoteSettings', () => {
      clearTimeout(greeting)
      this.#arrived(connection)
    })
    session.on('goaway', (code, lastStreamId) => {
      const level = code === constants.NGHTTP2_NO_ERROR ? 'debug' : 'warn'
      this.#logger[level]({ code, lastStreamId }, `${this.name} said GOAWAY`)
      connection.lastStreamId = lastStreamId
      if (this.#ready === connection) this.#ready = undefined
    })
    session.once('close', () => {
      clearTimeout(greeting)
      this.#connections.delete(connection)
      this.#left(connection, failure)
    })
  }

  #arrived(connection: Connection): void {
    widenConnectionWindow(connection.session)
    if (this.#failures > 0) this.#logger.info({ attempts: this.#failures }, `${this.name} is back`)
    connection.greeted = true
    this.#connecting = false
    this.#failures = 0
    this.#ready = connection
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const waiter of waiters) waiter(connection)
  }

  #left(connection: Connection, failure: unknown): void {
    if (this.#ready === connection) this.#ready = undefined
    if (connection.greeted) {
      this.#connectForWaiters()
      return
    }
    this.#connecting = false
    this.#failures += 1
    if (this.#failures === 1) this.#logger.warn({ err: failure }, `${this.name} does not answer`)
    if (this.#closed || this.#waiters.size === 0) return
    const pause = Math.min(this.#failures * RECONNECT_STEP_MS, RECONNECT_LIMIT_MS)
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined
      this.#connectForWaiters()
    }, pause)
  }

  #connectForWaiters(): void {
    if (this.#waiters.size > 0) this.#connect()
  }
}

/** Whether the connection itself is gone, as opposed to one stream of it. */
export function isLost({ session, socket }: Connection): boolean {
  return session.destroyed || socket.destroyed
}
