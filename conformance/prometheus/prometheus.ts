import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as v from 'valibot'
import { parse, stringify } from 'yaml'
import { claimPort } from '../../test/cluster/claims.ts'
import type { Bed } from '../../test/node/bed.ts'
import { createDaemon } from '../../test/node/daemon.ts'
import { PROMETHEUS_PROGRAM } from '../../test/setup/conformance.mjs'
import { CONFIG_FILE, RULES_FILE } from './monitoring-files.ts'

/** A Prometheus that runs as long as the bed, with the configuration and the rules of `deploy/monitoring`. */
export interface Prometheus {
  version(): Promise<string>
  /** Up or not, by job. */
  targets(): Promise<ReadonlyMap<string, string>>
  /** Whether it evaluates each alert without an error. */
  ruleHealth(): Promise<ReadonlyMap<string, string>>
  /** How many of the series that a query finds now have a number as their value. */
  count(query: string): Promise<number>
}

const POLL_MS = 100
const CALL_LIMIT_MS = 10_000

export async function startPrometheus(bed: Bed, targets: Readonly<Record<string, string>>): Promise<Prometheus> {
  const dir = join(bed.dir, 'prometheus')
  await mkdir(dir)
  const configPath = join(dir, 'prometheus.yaml')
  await writeFile(configPath, await makeConfig(targets))
  const host = `127.0.0.1:${await claimPort()}`
  const url = `http://${host}`
  const daemon = createDaemon({
    name: 'prometheus',
    namespace: bed.namespace,
    command: [
      PROMETHEUS_PROGRAM,
      `--config.file=${configPath}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=${host}`,
    ],
    env: bed.env,
    logPath: join(dir, 'log'),
    ready: signal => waitUntilReady(`${url}/-/ready`, signal),
  })
  await daemon.start()
  return {
    version: async () => (await ask(`${url}/api/v1/status/buildinfo`, v.object({ version: v.string() }))).version,
    async targets() {
      const schema = v.object({
        activeTargets: v.array(v.object({ labels: v.object({ job: v.string() }), health: v.string() })),
      })
      const { activeTargets } = await ask(`${url}/api/v1/targets`, schema)
      return new Map(activeTargets.map(({ labels, health }) => [labels.job, health]))
    },
    async ruleHealth() {
      const rule = v.object({ name: v.string(), health: v.string() })
      const schema = v.object({ groups: v.array(v.object({ rules: v.array(rule) })) })
      const { groups } = await ask(`${url}/api/v1/rules`, schema)
      return new Map(groups.flatMap(({ rules }) => rules.map(({ name, health }) => [name, health])))
    },
    async count(query) {
      const sample = v.object({ value: v.tuple([v.number(), v.string()]) })
      const schema = v.object({ result: v.array(sample) })
      const { result } = await ask(`${url}/api/v1/query?${new URLSearchParams({ query })}`, schema)
      return result.filter(({ value: [, number] }) => Number.isFinite(Number(number))).length
    },
  }
}

const Config = v.looseObject({
  scrape_configs: v.array(
    v.looseObject({
      job_name: v.string(),
      kubernetes_sd_configs: v.optional(v.array(v.unknown())),
      relabel_configs: v.array(v.unknown()),
    }),
  ),
})

/** The labels that Prometheus gives a target when it finds it by the API server. */
const DISCOVERED = {
  __meta_kubernetes_node_labelpresent_enbi_hrzn_ee_shim: 'true',
  __meta_kubernetes_node_address_InternalIP: '127.0.0.1',
  __meta_kubernetes_node_name: 'node-1',
  __meta_kubernetes_pod_label_app_kubernetes_io_name: 'enbi-controller',
  __meta_kubernetes_pod_ip: '127.0.0.1',
}

/**
 * The shipped configuration, scraping every second. Debian builds Prometheus without its discovery of Kubernetes objects: fixed targets
 * get the labels of discovered ones, so that the relabeling is the real one. Only the ports are those of this run.
 */
async function makeConfig(targets: Readonly<Record<string, string>>): Promise<string> {
  const shipped = v.parse(Config, parse(await readFile(CONFIG_FILE, 'utf8')))
  const scrapeConfigs = shipped.scrape_configs.map(({ kubernetes_sd_configs: _, relabel_configs, ...others }) => ({
    ...others,
    static_configs: [{ targets: ['discovered'], labels: DISCOVERED }],
    relabel_configs: [...relabel_configs, { target_label: '__address__', replacement: targets[others.job_name] }],
  }))
  const intervals = { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' }
  return stringify({ ...shipped, global: intervals, rule_files: [RULES_FILE], scrape_configs: scrapeConfigs })
}

async function waitUntilReady(url: string, signal: AbortSignal): Promise<void> {
  const isReady = () =>
    fetch(url, { signal }).then(
      ({ ok }) => ok,
      () => false,
    )
  while (!(await isReady())) await delay(POLL_MS, undefined, { signal })
}

async function ask<T>(url: string, schema: v.GenericSchema<unknown, T>): Promise<T> {
  const response = await fetch(url, { signal: AbortSignal.timeout(CALL_LIMIT_MS) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${url}: ${text}`)
  return v.parse(v.object({ data: schema }), JSON.parse(text)).data
}
