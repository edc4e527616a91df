import type { Config } from '../config.ts'
import { type Check, ok, warning } from './finding.ts'

/** Of flakes on this machine, which a policy has to spell out. */
const LOCAL = /^(?:path|git\+file|tarball\+file|file)(?=:)/

/** None where no image is a recipe by its name. */
export function checkNames({
  names,
  flakeNames,
  policy,
}: Pick<Config, 'names' | 'flakeNames' | 'policy'>): readonly Check[] {
  if (names.length === 0 && !flakeNames) return []
  const patterns = policy.flatMap(({ flakes }) => flakes)
  const refusedScheme = (flake: string) => {
    const [scheme] = LOCAL.exec(flake) ?? []
    const spelled = scheme === 'file' ? 'tarball+file' : scheme
    return patterns.some(pattern => pattern.startsWith(`${spelled}:`)) ? undefined : spelled
  }
  const look = () => {
    for (const { images, flake } of names) {
      const scheme = refusedScheme(flake)
      if (scheme !== undefined)
        return warning(
          `no rule of the policy allows the local flakes that ${images} names`,
          `add a pattern that begins with ${scheme}: to the flakes of a rule`,
        )
    }
    const rules = names.length === 1 ? '1 rule' : `${names.length} rules`
    return ok(flakeNames ? `${rules}, and names of flakes` : rules)
  }
  return [{ name: 'names', look }]
}
