import { type DaemonWire, openDaemonWire } from './daemon-wire.ts'

/** For answers that need no work. */
export const DAEMON_LIMIT_MS = 5_000
const DEFAULT_SOCKET = '/nix/var/nix/daemon-socket/socket'

/** Socket of the Nix daemon for clients with this environment; undefined if they use no daemon. */
export function daemonSocket(env: Readonly<Record<string, string>>): string | undefined {
  const { NIX_REMOTE, NIX_DAEMON_SOCKET_PATH, NIX_STATE_DIR } = env
  if (NIX_REMOTE !== undefined && NIX_REMOTE !== '' && NIX_REMOTE !== 'daemon') return undefined
  return NIX_DAEMON_SOCKET_PATH ?? (NIX_STATE_DIR ? `${NIX_STATE_DIR}/daemon-socket/socket` : DEFAULT_SOCKET)
}

/** Calls `use` with a connection to the Nix daemon, and closes it. Rejects if the daemon is away, or speaks another protocol. */
export async function withDaemon<Result>(
  socket: string,
  signal: AbortSignal,
  use: (wire: DaemonWire) => Promise<Result>,
): Promise<Result> {
  const wire = await openDaemon(socket, AbortSignal.any([signal, AbortSignal.timeout(DAEMON_LIMIT_MS)]))
  try {
    return await use(wire)
  } finally {
    wire.close()
  }
}

/** The caller closes the connection. Rejects as withDaemon does. */
export async function openDaemon(socket: string, signal: AbortSignal): Promise<DaemonWire> {
  const wire = await openDaemonWire(socket, signal)
  try {
    await greet(wire)
    return wire
  } catch (error) {
    wire.close()
    throw error
  }
}

/** Resolves if the daemon answers, else rejects. */
export function pingDaemon(socket: string, signal: AbortSignal): Promise<void> {
  return withDaemon(socket, signal, async () => {})
}

const CLIENT_MAGIC = 0x6e697863
const DAEMON_MAGIC = 0x6478696f
/** 1.21, which every daemon since Nix 2.0 supports. */
const OUR_VERSION = 0x115

async function greet(wire: DaemonWire): Promise<void> {
  wire.send(CLIENT_MAGIC)
  if ((await wire.readNumber()) !== DAEMON_MAGIC) throw new Error('what answers is not a Nix daemon')
  const version = await wire.readNumber()
  if (version < OUR_VERSION || version >> 8 !== OUR_VERSION >> 8)
    throw new Error(`the Nix daemon speaks version ${version >> 8}.${version & 0xff} of its protocol`)
  // Obsolete fields: CPU affinity and reserved space.
  wire.send(OUR_VERSION, 0, 0)
  await readUntilAnswer(wire)
}

const MESSAGE_LAST = 0x616c7473
const MESSAGE_ERROR = 0x63787470
const MESSAGE_NEXT = 0x6f6c6d67

/** Log messages of the daemon come before each answer. */
export async function readUntilAnswer(wire: DaemonWire): Promise<void> {
  for (;;) {
    const message = await wire.readNumber()
    if (message === MESSAGE_LAST) return
    if (message === MESSAGE_ERROR) throw new Error(`the Nix daemon says: ${await wire.readString()}`)
    if (message !== MESSAGE_NEXT) throw new Error(`the Nix daemon says something unknown: ${message}`)
    await wire.readString()
  }
}
