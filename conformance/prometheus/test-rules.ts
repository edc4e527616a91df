import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { stringify } from 'yaml'
import { PROMTOOL_PROGRAM } from '../../test/setup/conformance.mjs'
import { ALERT_CASES, type AlertCase, type Series } from './alert-cases.ts'
import { RULES_FILE, readAlertNames } from './monitoring-files.ts'

const LIMIT_MS = 120_000

/** `promtool check rules`. Returns what is wrong with the file of rules, empty if nothing is. */
export function checkRules(): Promise<string> {
  return promtool('check', 'rules', RULES_FILE)
}

export interface AlertResult {
  readonly alert: string
  /** Empty if it fires when it should. */
  readonly fires: string
  /** Empty if it is silent when it should be. */
  readonly silent: string
}

/** Runs `promtool test rules` twice for each alert. An alert without a case is a problem. */
export async function testAlerts(): Promise<AlertResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'enbi-rules-'))
  try {
    const results: AlertResult[] = []
    for (const alert of await readAlertNames()) {
      const found = ALERT_CASES[alert]
      const test = (series: Series | undefined, isFiring: boolean) => {
        if (found === undefined) return Promise.resolve('has no case')
        return series ? testRule(folder, { alert, minute: found.minute, series, isFiring }) : Promise.resolve('')
      }
      const fires = (await test(found?.fires, true)) || (await test(found?.alsoFires, true))
      results.push({ alert, fires, silent: await test(found?.silent, false) })
    }
    return results
  } finally {
    await rm(folder, { recursive: true })
  }
}

interface RuleTest extends Pick<AlertCase, 'minute'> {
  readonly alert: string
  readonly series: Series
  readonly isFiring: boolean
}

async function testRule(folder: string, { alert, minute, series, isFiring }: RuleTest): Promise<string> {
  const file = join(folder, `${alert}-${isFiring ? 'fires' : 'silent'}.yaml`)
  const expr = `count(ALERTS{alertname="${alert}",alertstate="firing"})`
  const samples = isFiring ? [{ labels: '{}', value: 1 }] : []
  const test = {
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [{ expr, eval_time: `${minute}m`, exp_samples: samples }],
  }
  await writeFile(file, stringify({ rule_files: [RULES_FILE], evaluation_interval: '1m', tests: [test] }))
  return await promtool('test', 'rules', file)
}

async function promtool(...args: readonly string[]): Promise<string> {
  const result = await execa(PROMTOOL_PROGRAM, args, { reject: false, all: true, timeout: LIMIT_MS })
  return result.failed ? (result.all || (result.shortMessage ?? 'it failed')).slice(-1000) : ''
}
