import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

const ALERTS = join(import.meta.dirname, '../monitoring/alerts.yaml')
export const RULES_FILE = join(import.meta.dirname, '../components/prometheus-operator/rules.yaml')

const HEAD = `# Made by \`npm run chart\` from deploy/monitoring/alerts.yaml: change that.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: enbi-shim
  namespace: enbi-system
spec:
`

/** The alerts as an object of the Prometheus operator. */
export async function makeRules(): Promise<string> {
  const alerts = await readFile(ALERTS, 'utf8')
  return HEAD + alerts.replaceAll(/^(?=.)/gm, '  ')
}
