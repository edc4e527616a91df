import type { Findings } from '../results.ts'
import type { PrometheusFindings } from './run-prometheus.ts'
import type { AlertResult } from './test-rules.ts'

/** `rules` is what `promtool check rules` finds wrong. */
export function alertsSection(rules: string, alerts: readonly AlertResult[]): Findings {
  const word = (problem: string) => (problem === '' ? 'yes' : 'no')
  return {
    columns: ['alert', 'fires', 'is silent'],
    rows: alerts.map(({ alert, fires, silent }) => [alert, word(fires), word(silent)]),
    problems: [
      ...(rules === '' ? [] : [`\`promtool check rules\`: ${rules}`]),
      ...alerts.flatMap(({ alert, fires, silent }) =>
        [fires, silent].filter(problem => problem !== '').map(problem => `${alert}: ${problem}`),
      ),
    ],
  }
}

export function scrapeSection({ version, jobs, brokenAlerts }: PrometheusFindings): Findings {
  const rows = [...jobs].map(([job, health]) => [job, health])
  return {
    columns: [`job of Prometheus ${version}`, 'state'],
    rows,
    problems: [
      ...(rows.length > 0 ? [] : ['there are no jobs']),
      ...rows.filter(([, health]) => health !== 'up').map(([job]) => `${job} is not scraped`),
      ...brokenAlerts.map(alert => `${alert} cannot be evaluated`),
    ],
  }
}

export function queriesSection({ queries }: PrometheusFindings): Findings {
  return {
    columns: ['panel', 'query', 'data'],
    rows: queries.map(({ panel, query, hasData }) => [panel, `\`${query}\``, hasData ? 'yes' : 'no']),
    problems: queries.filter(({ hasData }) => !hasData).map(({ panel, query }) => `${panel}: no data of \`${query}\``),
  }
}
