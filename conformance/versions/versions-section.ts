import type { Findings } from '../results.ts'
import type { Tried } from './try-node.ts'

export function versionsSection(tried: readonly Tried[]): Findings {
  return {
    columns: ['versions', 'result'],
    rows: tried.map(({ what, outcome, problem }) => [what, outcome === 'untried' ? `untried: ${problem}` : outcome]),
    problems: tried.filter(({ outcome }) => outcome === 'fails').map(({ what, problem }) => `${what}: ${problem}`),
  }
}
