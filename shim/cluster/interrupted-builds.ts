import type { Logger } from 'pino'
import { NODE_LABEL, nodeLabelValue } from '../../kube/resources/names.ts'
import type { NixBuild } from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { backOff, jitter, pause } from '../../lib/async/retry.ts'
import { messageOf } from '../../lib/errors.ts'
import type { FlakeRecipe } from '../../recipes/recipe.ts'
import { isAtWork } from './nixbuild/claim.ts'
import { interruption } from './builds/reported-run.ts'
import { statusChange } from './nixbuild/status.ts'
import type { NixBuildStore } from './nixbuild-store.ts'

export interface InterruptedBuildsOptions {
  readonly store: NixBuildStore
  readonly node: string
  readonly isBusyWith: (namespace: string, recipe: FlakeRecipe) => boolean
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** The check at the start finds what a restart interrupted. Later checks are only for other errors. */
const AGAIN_AFTER_MS = 600_000

/** Releases NixBuilds that this node claims but does not build: when the shim starts, and then periodically. */
export async function releaseInterruptedBuilds(options: InterruptedBuildsOptions): Promise<void> {
  const { signal, logger } = options
  let failures = 0
  while (!signal.aborted) {
    try {
      await releaseClaims(options)
      failures = 0
      await pause(jitter(AGAIN_AFTER_MS, 0.1), signal)
    } catch (err) {
      failures += 1
      if (failures === 1) logger.warn({ err: messageOf(err) }, 'cannot look for interrupted builds')
      await backOff(failures, signal)
    }
  }
}

async function releaseClaims({ store, node, isBusyWith, logger }: InterruptedBuildsOptions): Promise<void> {
  for (const live of await store.claimed()) {
    const { namespace = '', name, labels } = live.metadata
    // Assigned to this node: the shim builds it again.
    const isAssigned = labels[NODE_LABEL] === nodeLabelValue(node)
    if (!isAtWork(live, node) || isAssigned || isBusy(live, isBusyWith)) continue
    const run = interruption(`the build was interrupted: the shim on ${node} was restarted`, Date.now())
    const change = statusChange({ live, run, node, now: Date.now(), isWanted: false })
    if (!change) continue
    await store.change(live, change)
    logger.info({ namespace, nixBuild: name }, 'released the claim of an interrupted build')
  }
}

function isBusy(live: NixBuild, isBusyWith: InterruptedBuildsOptions['isBusyWith']): boolean {
  try {
    return isBusyWith(live.metadata.namespace ?? '', recipeOf(live))
  } catch {
    // Without a valid recipe nothing can be built.
    return false
  }
}
