import * as v from 'valibot'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import { isStorePath } from '../../../recipes/store-path.ts'
import { type DaemonWire, openDaemonWire } from './daemon-wire.ts'
import type { PathQuery } from './path-info.ts'
import { createClosureSize, storePathSchema } from './path-info.ts'

const LIMIT_MS = 5_000
const DEFAULT_SOCKET = '/nix/var/nix/daemon-socket/socket'

/** Socket of the Nix daemon for clients with this environment; undefined if they use no daemon. */
export function daemonSocket(env: Readonly<Record<string, string>>): string | undefined {
  const { NIX_REMOTE, NIX_DAEMON_SOCKET_PATH, NIX_STATE_DIR } = env
  if (NIX_REMOTE !== undefined && NIX_REMOTE !== '' && NIX_REMOTE !== 'daemon') return undefined
  return NIX_DAEMON_SOCKET_PATH ?? (NIX_STATE_DIR ? `${NIX_STATE_DIR}/daemon-socket/socket` : DEFAULT_SOCKET)
}

/**
 * Asks the Nix daemon about store paths, 50 times faster than `nix path-info`. Paths that are not valid are left out; a recursive
 * query includes all references. Throws if the daemon is away, or speaks another protocol. Source: Nix,
 * src/libstore/{worker-protocol.hh,daemon.cc}.
 */
export async function askDaemon(
  socket: string,
  paths: readonly string[],
  { recursive, signal }: PathQuery,
): Promise<StorePathInfo[]> {
  const wire = await openDaemonWire(socket, AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]))
  try {
    await greet(wire)
    const found: StorePathInfo[] = []
    const asked = new Set(paths)
    const size = createClosureSize()
    // One path at a time: a whole closure in one go would block the thread.
    for (let next = [...asked]; next.length > 0; ) {
      const referred: string[] = []
      for await (const info of askTogether(wire, next)) {
        size.add(info)
        found.push(info)
        for (const path of recursive ? info.references : []) {
          if (asked.has(path)) continue
          asked.add(path)
          referred.push(path)
        }
      }
      next = referred
    }
    return found
  } finally {
    wire.close()
  }
}

/** Resolves if the daemon answers, else rejects. */
export async function pingDaemon(socket: string, signal: AbortSignal): Promise<void> {
  const wire = await openDaemonWire(socket, AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]))
  try {
    await greet(wire)
  } finally {
    wire.close()
  }
}

/** Queries that are sent before their answers are read. */
const QUESTIONS = 200

/** Pipelines the queries. */
async function* askTogether(wire: DaemonWire, paths: readonly string[]): AsyncGenerator<StorePathInfo> {
  for (let first = 0; first < paths.length; first += QUESTIONS) {
    const together = paths.slice(first, first + QUESTIONS)
    wire.send(...together.flatMap(path => [OPERATION_PATH_INFO, path]))
    for (const path of together) {
      const info = await receivePathInfo(wire, path)
      if (info) yield info
    }
  }
}

const CLIENT_MAGIC = 0x6e697863
const DAEMON_MAGIC = 0x6478696f
/** 1.21, which every daemon since Nix 2.0 supports. */
const OUR_VERSION = 0x115
const OPERATION_PATH_INFO = 26

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
async function readUntilAnswer(wire: DaemonWire): Promise<void> {
  for (;;) {
    const message = await wire.readNumber()
    if (message === MESSAGE_LAST) return
    if (message === MESSAGE_ERROR) throw new Error(`the Nix daemon says: ${await wire.readString()}`)
    if (message !== MESSAGE_NEXT) throw new Error(`the Nix daemon says something unknown: ${message}`)
    await wire.readString()
  }
}

const answerSchema = v.object({
  path: storePathSchema,
  narHash: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  narSize: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
})

async function receivePathInfo(wire: DaemonWire, path: string): Promise<StorePathInfo | undefined> {
  await readUntilAnswer(wire)
  if ((await wire.readNumber()) === 0) return undefined
  const { readNumber, readString, readStrings } = wire
  const [, narHash, references] = [await readString(), await readString(), await readStrings(isStorePath)]
  const [, narSize] = [await readNumber(), await readNumber()]
  // Unused fields: whether it was built here, its signatures, its content address.
  await readNumber()
  await readStrings(() => true)
  await readString()
  return { ...v.parse(answerSchema, { path, narHash, narSize }), references }
}
