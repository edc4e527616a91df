import type { Config } from '../config/config.ts'
import { type Check, ok, warning } from './finding.ts'

const EXAMPLE =
  '[{ namespaces: ["team-*"], images: ["registry.example/team/*"], flakes: ["git+https://git.example/team/*"] }]'

export function checkPolicy({ policy }: Pick<Config, 'policy'>): Check {
  return {
    name: 'policy',
    look: () =>
      policy.length === 0
        ? warning('the policy has no rule: nothing is built', `add a rule to the config, as in policy: ${EXAMPLE}`)
        : ok(policy.length === 1 ? '1 rule' : `${policy.length} rules`),
  }
}
