import { setTimeout as delay } from 'node:timers/promises'
import { type Query, readAlertNames, readDashboardQueries } from './monitoring-files.ts'
import { startPrometheus } from './prometheus.ts'
import { startScrapedParts } from './scraped-parts.ts'

export interface PrometheusFindings {
  readonly version: string
  /** `up`, or what Prometheus says, by job. */
  readonly jobs: ReadonlyMap<string, string>
  /** Alerts that Prometheus cannot evaluate. */
  readonly brokenAlerts: readonly string[]
  readonly queries: readonly (Query & { readonly hasData: boolean })[]
}

/** How often the shim and the controller work again for a query that has no data yet. */
const ROUNDS = 20
const ROUND_MS = 3000

/** Has Prometheus scrape a shim and a controller at work, and asks it every query of the dashboard. */
export async function runPrometheus(): Promise<PrometheusFindings> {
  await using parts = await startScrapedParts()
  const prometheus = await startPrometheus(parts.bed, {
    'enbi-shim': parts.shim,
    'enbi-controller': parts.controller,
  })
  const queries = await readDashboardQueries()
  const answered = new Set<Query>()
  for (let round = 0; round < ROUNDS && answered.size < queries.length; round += 1) {
    await parts.work()
    await delay(ROUND_MS)
    for (const query of queries) if ((await prometheus.count(query.query)) > 0) answered.add(query)
  }
  const health = await prometheus.ruleHealth()
  return {
    version: await prometheus.version(),
    jobs: await prometheus.targets(),
    brokenAlerts: (await readAlertNames()).filter(alert => health.get(alert) !== 'ok'),
    queries: queries.map(query => ({ ...query, hasData: answered.has(query) })),
  }
}
