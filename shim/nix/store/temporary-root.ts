import type { Logger } from 'pino'
import { messageOf } from '../../../lib/errors.ts'
import { DAEMON_LIMIT_MS, openDaemon, readUntilAnswer } from './daemon-connection.ts'
import type { DaemonWire } from './daemon-wire.ts'

export interface TemporaryRoot {
  /** Of the Nix daemon. */
  readonly socket: string | undefined
  readonly storePath: string
  readonly signal: AbortSignal
  readonly logger: Pick<Logger, 'warn'>
}

/**
 * Runs `work` while the Nix daemon keeps the store path, and what it refers to, from being collected as garbage. The path may become
 * valid only meanwhile. Nothing keeps it if the daemon is away, or `socket` is undefined. Source: Nix, src/libstore/daemon.cc.
 */
export async function withTemporaryRoot<Result>(
  { socket, ...wanted }: TemporaryRoot,
  work: () => Promise<Result>,
): Promise<Result> {
  const connection = socket === undefined ? undefined : await addRoot(socket, wanted)
  try {
    return await work()
  } finally {
    connection?.close()
  }
}

const OPERATION_ADD_TEMP_ROOT = 11

/** The root lasts as long as the connection. */
async function addRoot(
  socket: string,
  { storePath, signal, logger }: Omit<TemporaryRoot, 'socket'>,
): Promise<DaemonWire | undefined> {
  const tooLong = new AbortController()
  const timer = setTimeout(() => tooLong.abort(), DAEMON_LIMIT_MS)
  let wire: DaemonWire | undefined
  try {
    wire = await openDaemon(socket, AbortSignal.any([signal, tooLong.signal]))
    wire.send(OPERATION_ADD_TEMP_ROOT, storePath)
    await readUntilAnswer(wire)
    await wire.readNumber()
    return wire
  } catch (error) {
    wire?.close()
    const reason = messageOf(error)
    if (!signal.aborted)
      logger.warn({ storePath, reason }, 'a garbage collection may delete this path: no temporary root')
    return undefined
  } finally {
    clearTimeout(timer)
  }
}
