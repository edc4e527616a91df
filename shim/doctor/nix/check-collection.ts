import type { Config } from '../../config/config.ts'
import { findTimer, MIN_FREE } from '../../nix/collect/other-collector.ts'
import { isNixFirst } from '../../nix/collect/plan-collection.ts'
import { storeRoom } from '../../nix/collect/store-room.ts'
import { type Check, type Finding, ok, skipped, warning } from '../probes/finding.ts'
import { createNixOfShim, type NixCheckOptions } from './nix-of-shim.ts'

/** What frees space of the Nix store. */
export function checkCollection(
  { stateDir, nix, policy }: Pick<Config, 'stateDir' | 'nix' | 'policy'>,
  options: NixCheckOptions,
): Check {
  const nixOfShim = createNixOfShim({ stateDir, nix }, options)
  return {
    name: 'garbage collection',
    async look(signal) {
      if (policy.length === 0) return skipped('without a rule the shim leaves the store alone')
      const timer = await findTimer()
      const minFree = (await nixOfShim.settings(signal))?.minFree ?? 0
      const isFirst = isNixFirst(minFree, nix.collectGarbage, (await storeRoom()).total)
      return judgeCollection(nix.collectGarbage.when, { timer, minFree: isFirst ? 'first' : minFree > 0 })
    },
  }
}

export interface OtherCollectors {
  /** Its name. */
  readonly timer: string | undefined
  /** Whether Nix collects while it builds. `first`: before the disk is so low that the shim would. */
  readonly minFree: boolean | 'first'
}

export function judgeCollection(
  when: Config['nix']['collectGarbage']['when'],
  { timer, minFree }: OtherCollectors,
): Finding {
  if (when === 'auto' && minFree === 'first')
    return warning(
      `the shim leaves garbage of the Nix store to ${MIN_FREE}, which acts only while Nix builds: the kubelet may evict pods meanwhile`,
      'remove min-free from nix.conf, or set it to less than nix.collectGarbage.below, or set nix.collectGarbage.when: always',
    )
  const others = [timer, minFree === false ? undefined : MIN_FREE].filter(other => other !== undefined).join(' and ')
  if (when !== 'never')
    return ok(`the shim has Nix collect garbage when the disk runs low${others && `, beside ${others}`}`)
  if (others === '')
    return warning(
      'nothing collects garbage of the Nix store: the kubelet frees no space that the store has, and evicts pods',
      `${LET_THE_SHIM}, or run nix-collect-garbage often by a timer`,
    )
  const gap = timer === undefined ? 'only while Nix builds' : 'not when the disk runs low'
  return warning(
    `${others} collects garbage of the Nix store, but ${gap}: the kubelet may evict pods before`,
    LET_THE_SHIM,
  )
}

const LET_THE_SHIM = 'remove nix.collectGarbage.when: never, so that the shim collects whenever the disk runs low'
