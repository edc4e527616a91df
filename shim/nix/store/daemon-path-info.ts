import * as v from 'valibot'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import { isStorePath } from '../../../recipes/store-path.ts'
import { readUntilAnswer, withDaemon } from './daemon-connection.ts'
import type { DaemonWire } from './daemon-wire.ts'
import type { PathQuery } from './path-info.ts'
import { createClosureSize, storePathSchema } from './path-info.ts'

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
  return withDaemon(socket, signal, async wire => {
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
  })
}

const OPERATION_PATH_INFO = 26
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
