import { pino } from 'pino'
import { createNames } from '../../../recipes/names/names.ts'
import { createPolicy, type PolicyRule } from '../../../recipes/policy/policy.ts'
import type { PullOutcome, Stages } from '../../../shim/pull/contract.ts'
import type { PullImageParts } from '../../../shim/pull/pull-image.ts'
import { createPullLog } from '../../../shim/pull/pull-log.ts'
import { createSharedRuns } from '../../../shim/pull/runs/shared-runs.ts'

export const SYSTEM = 'x86_64-linux'

/** A rule that allows everything except to replace an image. */
export const RULE: PolicyRule = {
  ...{ namespaces: ['*'], images: ['**'], flakes: ['**'] },
  ...{ requireLocked: false, replaceForeign: false, plainPackages: false, maxImageSize: 1 },
}

export interface PullPartsOptions extends Partial<Pick<PullImageParts, 'findLock' | 'runs'>> {
  readonly rules?: readonly PolicyRule[]
  readonly build?: Stages['builder']['build']
  readonly importImage?: Stages['importer']['importImage']
}

/** The parts of a pull on a node without images. What a test does not give fails if it is called. */
export function pullParts(options: PullPartsOptions = {}): PullImageParts {
  const { rules = [RULE], build = notUsed, importImage = notUsed, ...more } = options
  const images = { find: async () => undefined, withLabel: notUsed, present: async () => undefined, usable: notUsed }
  const builder = {
    ...{ build, announce: () => {}, findResult: async () => undefined },
    ...{ withArchive: notUsed, keepOnly: notUsed, collectGarbage: notUsed, pathInfo: notUsed },
  }
  return {
    policy: createPolicy(rules),
    names: createNames({ rules: [], flakeNames: false, system: SYSTEM }),
    system: SYSTEM,
    findClusterRecipe: undefined,
    findLock: undefined,
    warnPod: undefined,
    images: async () => images,
    stages: async () => ({ images, builder, importer: { importImage } }),
    runs: createSharedRuns<PullOutcome>({ abandonAfterMs: 1000, rememberFailuresMs: 1000, maxPerNamespace: 10 }),
    holdMs: undefined,
    progressOf: () => undefined,
    reporter: createPullLog(),
    logger: pino({ level: 'silent' }),
    ...more,
  }
}

function notUsed(): Promise<never> {
  return Promise.reject(new Error('not used here'))
}
