import { type ShimError, toShimError } from '../../lib/errors.ts'
import type { BuildCall } from './contract.ts'
import type { BuildProgress } from './log/build-progress.ts'
import type { Push } from './push-queue.ts'
import type { PathClaim } from './sharing.ts'
import type { BuildResult } from './store/results.ts'

/** The claim of this node, if it gets one. It ends on every path. `push` gets what was built. */
export function createOwnClaim(push: Push | undefined, call: BuildCall) {
  let taking: Promise<PathClaim | undefined> | undefined
  let held: PathClaim | undefined
  const end = async (failure?: ShimError, pushed?: Promise<void>) => {
    // A run may be cancelled while the claim is being made.
    await taking
    await held?.end(failure, pushed)
  }
  const onProgress = (progress: BuildProgress) => {
    call.onProgress(progress)
    held?.progress(progress)
  }
  return {
    call: { ...call, onProgress },
    /** Whether this node has the claim. Never rejects. */
    async take(claim: Promise<PathClaim | undefined>): Promise<boolean> {
      taking = claim.catch(() => undefined)
      held = await taking
      return held !== undefined
    },
    async endAfter<Made extends { readonly result?: BuildResult | undefined }>(
      work: () => Promise<Made>,
    ): Promise<Made> {
      try {
        const made = await work()
        // The pull does not wait until other nodes know.
        void end(undefined, held && made.result ? push?.(made.result.storePath) : undefined)
        return made
      } catch (error) {
        void end(toShimError(error))
        throw error
      }
    },
  }
}
