import type { Config } from '../../config/config.ts'
import { findOtherCollector, MIN_FREE } from '../../nix/collect/other-collector.ts'
import { type Check, type Finding, ok, skipped, warning } from '../probes/finding.ts'
import { createNixOfShim, type NixCheckOptions } from './nix-of-shim.ts'

/** What frees space of the Nix store. */
export function checkCollection(
  { stateDir, nix, policy }: Pick<Config, 'stateDir' | 'nix' | 'policy'>,
  options: NixCheckOptions,
): Check {
  const { user } = createNixOfShim({ stateDir, nix }, options)
  return {
    name: 'garbage collection',
    async look(signal) {
      if (policy.length === 0) return skipped('without a rule the shim leaves the store alone')
      const other = await findOtherCollector({ nix, user: await user() }, signal)
      return judgeCollection(nix.collectGarbage.when, other)
    },
  }
}

/** `other`: what collects besides the shim. */
export function judgeCollection(when: Config['nix']['collectGarbage']['when'], other: string | undefined): Finding {
  if (when === 'always' && other !== undefined)
    return warning(
      `two collect garbage of the Nix store, the shim and ${other}: one waits for the other`,
      `set nix.collectGarbage.when: auto, or remove ${other}`,
    )
  if (when !== 'never' && other === undefined) return ok('the shim has Nix collect garbage when the disk runs low')
  if (other === undefined)
    return warning(
      'nothing collects garbage of the Nix store: the kubelet frees no space that the store has, and evicts pods',
      'remove nix.collectGarbage.when: never, or run nix-collect-garbage by a timer',
    )
  if (other === MIN_FREE)
    return warning(
      `only ${MIN_FREE} collects garbage of the Nix store, and only while Nix builds: the kubelet may evict pods meanwhile`,
      'remove min-free: then the shim collects garbage whenever the disk runs low',
    )
  return ok(`${other} collects garbage of the Nix store, and the shim does not`)
}
