import { isSharedFailure } from '../../../kube/resources/claim-lease.ts'
import { ShimError } from '../../../lib/errors.ts'
import type { BuildProgress } from '../../nix/log/build-progress.ts'

/** How the work of a run for a path ended. */
export type LocalEnd =
  | { readonly kind: 'here' }
  | { readonly kind: 'failed'; readonly error: ShimError }
  /** It was cancelled, or failed in a way that says nothing about the next try. */
  | { readonly kind: 'left' }

/** The one run of this node that claims, waits for, or copies the output of a derivation. */
export interface LeadingRun {
  progress(progress: BuildProgress): void
  /** Only the first call counts. */
  end(end: LocalEnd): void
}

export interface LocalRuns {
  /** Undefined if another run of this node already cares for the derivation. */
  lead(drvPath: string): LeadingRun | undefined
  /** The end of that run; undefined if there is none. */
  following(drvPath: string, onProgress: (progress: BuildProgress) => void): Following | undefined
  /** Resolves when all that lead now have ended. */
  ended(): Promise<unknown>
}

export interface Following {
  readonly ended: Promise<LocalEnd>
  leave(): void
}

interface Entry {
  readonly ended: Promise<LocalEnd>
  readonly listeners: Set<(progress: BuildProgress) => void>
  latest?: BuildProgress
}

/** Makes one run of this node ask for each derivation: the others wait for it, at no cost for the API server. */
export function createLocalRuns(): LocalRuns {
  const entries = new Map<string, Entry>()
  return {
    lead(drvPath) {
      if (entries.has(drvPath)) return undefined
      const { promise, resolve } = Promise.withResolvers<LocalEnd>()
      const entry: Entry = { ended: promise, listeners: new Set() }
      entries.set(drvPath, entry)
      let isOver = false
      return {
        progress(progress) {
          if (progress.phase !== 'log') entry.latest = progress
          for (const listener of entry.listeners) listener(progress)
        },
        end(end) {
          if (isOver) return
          isOver = true
          entries.delete(drvPath)
          resolve(end)
        },
      }
    },
    following(drvPath, onProgress) {
      const entry = entries.get(drvPath)
      if (!entry) return undefined
      entry.listeners.add(onProgress)
      if (entry.latest) onProgress(entry.latest)
      return { ended: entry.ended, leave: () => entry.listeners.delete(onProgress) }
    },
    ended: () => Promise.all([...entries.values()].map(({ ended }) => ended)),
  }
}

/** The end that a failure means for other runs of the derivation: they may be of other recipes, whose programs and limits differ. */
export function endOf(error: unknown): LocalEnd {
  return error instanceof ShimError && isSharedFailure(error.code) ? { kind: 'failed', error } : { kind: 'left' }
}
