import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { parse } from 'yaml'

const FOLDER = join(import.meta.dirname, '../../deploy/monitoring')

export const RULES_FILE = join(FOLDER, 'alerts.yaml')
export const CONFIG_FILE = join(FOLDER, 'prometheus.yaml')

const Rules = v.object({
  groups: v.array(v.object({ rules: v.array(v.object({ alert: v.string() })) })),
})
const Dashboard = v.object({
  panels: v.array(v.object({ title: v.string(), targets: v.optional(v.array(v.object({ expr: v.string() })), []) })),
})

export async function readAlertNames(): Promise<string[]> {
  const { groups } = v.parse(Rules, parse(await readFile(RULES_FILE, 'utf8')))
  return groups.flatMap(({ rules }) => rules.map(({ alert }) => alert))
}

export interface Query {
  readonly panel: string
  readonly query: string
}

/** The queries of the dashboard for all nodes, as Grafana asks them of a Prometheus that scrapes often. */
export async function readDashboardQueries(): Promise<Query[]> {
  const { panels } = v.parse(Dashboard, JSON.parse(await readFile(join(FOLDER, 'dashboard.json'), 'utf8')))
  return panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => ({
      panel: title,
      query: expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*'),
    })),
  )
}
