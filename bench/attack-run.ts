import { setTimeout as delay } from 'node:timers/promises'
import type { Bed } from '../test/node/bed.ts'
import type { Shim } from '../test/node/shim.ts'
import { readStatus } from '../test/shim/status/read-status.ts'
import type { Attack } from './attacks.ts'
import { pullOf } from './node.ts'

const POLL_MS = 50
/** For a run to come to its worst, and for its end. */
const LIMIT_MS = 60_000

/** A pull whose run has come to its worst; it is called off, and gone, when it is disposed of. Throws if it does not last. */
export async function startAttack(
  bed: Bed,
  shim: Shim,
  { flake, phases }: Attack,
  image: string,
): Promise<AsyncDisposable> {
  const caller = new AbortController()
  let failure: unknown
  const pull = bed
    .cri(shim.socket)
    .pullImage(pullOf(image, `path:${flake}`), { signal: caller.signal })
    .catch(error => {
      failure = error
    })
  const untilPhase = async (isReached: (phase: string | undefined) => boolean, what: string) => {
    const deadline = performance.now() + LIMIT_MS
    for (;;) {
      const { runs } = await readStatus(shim.socket)
      const phase = runs.find(run => run.image.endsWith(image))?.progress.phase
      if (isReached(phase)) return
      if (performance.now() > deadline) throw new Error(`${image} does not ${what}: ${phase}`, { cause: failure })
      await delay(POLL_MS)
    }
  }
  const isAtWorst = (phase: string | undefined) => {
    if (failure !== undefined) throw failure
    return phases.includes(phase ?? '')
  }
  await untilPhase(isAtWorst, `come to ${phases.join(' or ')}`)
  return {
    async [Symbol.asyncDispose]() {
      if (failure !== undefined) throw failure
      caller.abort()
      await pull
      await untilPhase(phase => phase === undefined, 'end')
    },
  }
}
