import type { Config } from '../config/config.ts'
import { type Check, ok, warning } from './probes/finding.ts'

const EXAMPLE =
  '[{ namespaces: ["team-*"], images: ["registry.example/team/*"], flakes: ["git+https://git.example/team/*"] }]'

/** Flakes on this machine, which a policy must spell out. */
const LOCAL = /^(?:path|git\+file|tarball\+file|file)(?=:)/

/** Whether the policy allows anything. */
export function checkPolicy({ policy }: Pick<Config, 'policy'>): Check {
  return {
    name: 'policy',
    look: () =>
      policy.length === 0
        ? warning('the policy has no rules, so nothing is built', `add a rule to the config, as in policy: ${EXAMPLE}`)
        : ok(policy.length === 1 ? '1 rule' : `${policy.length} rules`),
  }
}

/** Whether the policy allows what image names stand for. No check if image names are not recipes. */
export function checkNames({
  names,
  flakeNames,
  policy,
}: Pick<Config, 'names' | 'flakeNames' | 'policy'>): readonly Check[] {
  if (names.length === 0 && !flakeNames) return []
  const patterns = policy.flatMap(({ flakes }) => flakes)
  const look = () => {
    for (const rule of names) {
      const start = neededStart(rule)
      if (start === '' || patterns.some(pattern => pattern.startsWith(start))) continue
      const what = rule.packages === undefined ? 'local flakes' : 'package sets'
      return warning(
        `no rule of the policy allows the ${what} that ${rule.images} stands for`,
        `add a pattern that begins with ${start} to the flakes of a rule`,
      )
    }
    const rules = names.length === 1 ? '1 rule' : `${names.length} rules`
    return ok(flakeNames ? `${rules}, and flake names` : rules)
  }
  return [{ name: 'names', look }]
}

/** The start that a flake pattern needs to allow what a rule of `names` makes; empty if any pattern may match it. */
function neededStart({ flake, packages }: Config['names'][number]): string {
  const [local] = LOCAL.exec(packages ?? flake ?? '') ?? []
  const scheme = local === 'file' ? 'tarball+file' : local
  return `${packages === undefined ? '' : 'packages:'}${scheme === undefined ? '' : `${scheme}:`}`
}
