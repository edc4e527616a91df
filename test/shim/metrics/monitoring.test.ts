import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { createMetrics } from '../../../controller/metrics.ts'
import { workKey } from '../../../controller/state/work-keys.ts'
import { ERROR_CODES } from '../../../lib/errors.ts'
import { GRPC_CODES } from '../../../shim/metrics/call-metrics.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { copyExample } from '../../node/example.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import { type KnownMetrics, problemsOf, readExposition, targetLabels } from './promql.ts'
import { metricsUrl } from './scrape.ts'

const MONITORING = join(import.meta.dirname, '../../../deploy/monitoring')
const DOCS = join(import.meta.dirname, '../../../docs/reference/metrics.md')

const JOBS = ['enbi-shim', 'enbi-controller'] as const
let bed: Bed
let known: KnownMetrics
beforeAll(async () => {
  bed = await startBed()
  const [shim, controller] = [await shimMetrics(), await controllerMetrics()]
  const common = ['up', ...[...shim.keys()].filter(name => controller.has(name))]
  const ofBoth = common.map(name => [name, targetLabels(...JOBS)] as const)
  known = new Map([...controller, ...withAllCodes(shim), ...ofBoth])
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** The metrics of a shim that has done everything once: a metric with labels has no series before. */
async function shimMetrics(): Promise<KnownMetrics> {
  const policy = [{ namespaces: ['team-*'], images: ['**'], flakes: ['path:/**'] }]
  const shim = await bed.startShim({ config: { policy, metrics: { address: '127.0.0.1:0' } } })
  const url = await metricsUrl(shim)
  const formats = await copyExample('formats', bed.dir)
  const failures = await copyExample('failures', bed.dir)
  const kubelet = bed.cri(shim.socket)
  const pull = (packageName: string, { url: flakeUrl } = formats, namespace = 'team-a') => {
    const recipe = { image: `registry.example/monitored/${packageName}:1`, flakeUrl, packageName }
    return kubelet.pullImage({ ...recipePull(recipe), namespace, podName: 'web' })
  }
  await pull('docker-archive')
  await expect(pull('no-evaluation', failures)).rejects.toThrow('broken on purpose')
  await expect(pull('no-image')).rejects.toThrow('not an image')
  await expect(pull('stream', formats, 'other')).rejects.toThrow('policy')
  await kubelet.imageStatus('registry.example/none:1')
  return readExposition(await (await fetch(`${url}/metrics`)).text(), JOBS[0])
}

/** Not all codes can be provoked. */
function withAllCodes(metrics: KnownMetrics): KnownMetrics {
  const all = new Map([
    ['grpc_code', new Set(GRPC_CODES)],
    ['code', new Set(Object.keys(ERROR_CODES))],
  ])
  const extend = ([label, values]: readonly [string, ReadonlySet<string>]) => [label, all.get(label) ?? values] as const
  return new Map([...metrics].map(([name, labels]) => [name, new Map([...labels].map(extend))]))
}

async function controllerMetrics(): Promise<KnownMetrics> {
  const { measure, registry } = createMetrics()
  await measure(workKey('pod', 'a/b'), async () => {})
  await expect(measure(workKey('pod', 'a/b'), () => Promise.reject(new Error('refused')))).rejects.toThrow('refused')
  return readExposition(await registry.metrics(), JOBS[1])
}

const Rule = v.object({
  alert: v.string(),
  expr: v.string(),
  labels: v.object({ severity: v.picklist(['critical', 'warning', 'info']) }),
  annotations: v.object({ summary: v.string(), description: v.string() }),
})
const Rules = v.object({ groups: v.array(v.object({ name: v.string(), rules: v.array(Rule) })) })
/** The one that is chosen above the panels: a fixed one would be that of somebody else's Grafana. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder is Grafana's
const Datasource = v.object({ type: v.literal('prometheus'), uid: v.literal('${datasource}') })
const Panel = v.object({
  type: v.string(),
  title: v.string(),
  gridPos: v.object({ x: v.number(), y: v.number(), w: v.number(), h: v.number() }),
  targets: v.optional(v.array(v.object({ expr: v.string(), datasource: Datasource })), []),
})
const Variable = v.object({ name: v.string(), type: v.string() })
const Dashboard = v.object({
  title: v.string(),
  templating: v.object({ list: v.array(Variable) }),
  panels: v.array(Panel),
})

const read = (name: string) => readFile(join(MONITORING, name), 'utf8')
const rules = async () => v.parse(Rules, parse(await read('alerts.yaml'))).groups.flatMap(group => group.rules)
const dashboard = async () => v.parse(Dashboard, JSON.parse(await read('dashboard.json')))

/** Variables as Grafana fills them in. */
const fillIn = (expression: string) => expression.replaceAll('$__rate_interval', '1m').replaceAll('$instance', 'a|b')

describe('the alert rules', () => {
  it('use existing metrics and labels', async () => {
    const found = (await rules()).flatMap(({ alert, expr }) => problemsOf(expr, known).map(text => `${alert}: ${text}`))
    expect(found).toEqual([])
  })

  it('have unique names', async () => {
    const names = (await rules()).map(({ alert }) => alert)
    expect(new Set(names).size).toBe(names.length)
  })

  it('use only labels of their expressions in their texts', async () => {
    for (const { alert, expr, annotations } of await rules()) {
      const used = [...JSON.stringify(annotations).matchAll(/\$labels\.(\w+)/g)].map(match => match[1] ?? '')
      const grouping = /\bby \(([\w, ]+)\)/.exec(expr)?.[1]?.split(', ')
      expect({ alert, missing: used.filter(label => grouping && !grouping.includes(label)) }).toEqual({
        alert,
        missing: [],
      })
    }
  })
})

describe('the dashboard', () => {
  it('uses existing metrics and labels', async () => {
    const found = (await dashboard()).panels.flatMap(({ title, targets }) =>
      targets.flatMap(({ expr }) => problemsOf(fillIn(expr), known).map(text => `${title}: ${text}`)),
    )
    expect(found).toEqual([])
  })

  it('uses the data source that the user selects', async () => {
    const { templating } = await dashboard()
    expect(templating.list).toContainEqual({ name: 'datasource', type: 'datasource' })
  })

  it('has a query in each panel, and no overlapping panels', async () => {
    const { panels } = await dashboard()
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)}:${y + Math.floor(cell / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
    expect(panels.filter(({ type, targets }) => type !== 'row' && targets.length === 0)).toEqual([])
  })
})

describe('the reference page of metrics', () => {
  it('lists exactly the metrics that exist', async () => {
    const listed = [...(await readFile(DOCS, 'utf8')).matchAll(/^\| `([a-z_]+)`/gm)].map(match => match[1] ?? '')
    const series = [...known.keys()].filter(name => name !== 'up')
    const names = series.map(name => name.replace(/_(bucket|count|sum)$/, ''))
    expect([...new Set(listed)].toSorted()).toEqual([...new Set(names)].toSorted())
  })
})

describe('an error in a query is noticed', () => {
  it.each([
    ['sum(rate(enbi_shim_bulids_total[5m]))', 'nobody has enbi_shim_bulids_total'],
    ['enbi_shim_pulls_total{namespace="a"}', 'enbi_shim_pulls_total has no namespace'],
    ['enbi_shim_builds_total{result="fialed"}', 'result of enbi_shim_builds_total is never fialed'],
    ['enbi_shim_builds_total{result="refused"}', 'result of enbi_shim_builds_total is never refused'],
    ['enbi_shim_pulls_total{code=~"DiskFull|DiscFull"}', 'code of enbi_shim_pulls_total is never DiscFull'],
    ['up{job=~"enbi-shim|enbi-shin"}', 'job of up is never enbi-shin'],
    ['sum by (pod) (enbi_shim_pulls_total)', 'none of these has pod'],
    ['sum(enbi_shim_pulls_total', 'no PromQL at 25'],
    ['vector(1)', 'it asks for nothing'],
  ])('%s', (expression, problem) => {
    expect(problemsOf(expression, known)).toContain(problem)
  })
})
