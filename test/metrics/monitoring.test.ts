import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { createMetrics } from '../../controller/metrics.ts'
import { workKey } from '../../controller/work-key.ts'
import { type Bed, startBed } from '../node/bed.ts'
import { copyExample } from '../node/example.ts'
import { recipePull } from '../node/recipe-pull.ts'
import { type KnownMetrics, problemsOf, readExposition } from './promql.ts'
import { metricsUrl } from './scrape.ts'

const MONITORING = join(import.meta.dirname, '../../deploy/monitoring')
const DOCS = join(import.meta.dirname, '../../docs/monitoring.md')

let bed: Bed
let known: KnownMetrics
beforeAll(async () => {
  bed = await startBed()
  known = new Map([...(await shimMetrics()), ...(await controllerMetrics()), ['up', new Set<string>()]])
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

/** Of a shim that has done a bit of everything: a metric with labels has none before. */
async function shimMetrics(): Promise<KnownMetrics> {
  const shim = await bed.startShim({ config: { policy: [], metrics: { address: '127.0.0.1:0' } } })
  const url = await metricsUrl(shim)
  const { url: flakeUrl } = await copyExample('formats', bed.dir)
  const recipe = { image: 'registry.example/refused:1', flakeUrl, packageName: 'stream' }
  await expect(bed.cri(shim.socket).pullImage(recipePull(recipe))).rejects.toThrow('policy')
  return readExposition(await (await fetch(`${url}/metrics`)).text())
}

async function controllerMetrics(): Promise<KnownMetrics> {
  const { measure, registry } = createMetrics()
  await measure(workKey('pod', 'a/b'), async () => {})
  return readExposition(await registry.metrics())
}

const Rule = v.object({
  alert: v.string(),
  expr: v.string(),
  labels: v.object({ severity: v.picklist(['critical', 'warning', 'info']) }),
  annotations: v.object({ summary: v.string(), description: v.string() }),
})
const Rules = v.object({ groups: v.array(v.object({ name: v.string(), rules: v.array(Rule) })) })
const Panel = v.object({
  type: v.string(),
  title: v.string(),
  gridPos: v.object({ x: v.number(), y: v.number(), w: v.number(), h: v.number() }),
  targets: v.optional(v.array(v.object({ expr: v.string() })), []),
})
const Dashboard = v.object({ title: v.string(), panels: v.array(Panel) })

const read = (name: string) => readFile(join(MONITORING, name), 'utf8')
const rules = async () => v.parse(Rules, parse(await read('alerts.yaml'))).groups.flatMap(group => group.rules)
const dashboard = async () => v.parse(Dashboard, JSON.parse(await read('dashboard.json')))

/** As Grafana fills them in. */
const fillIn = (expression: string) => expression.replaceAll('$__rate_interval', '1m').replaceAll('$instance', 'a|b')

describe('the alert rules', () => {
  it('ask for metrics and labels that there are', async () => {
    const found = (await rules()).flatMap(({ alert, expr }) => problemsOf(expr, known).map(text => `${alert}: ${text}`))
    expect(found).toEqual([])
  })

  it('have names of their own', async () => {
    const names = (await rules()).map(({ alert }) => alert)
    expect(new Set(names).size).toBe(names.length)
  })

  it('use in their texts labels that their expressions leave', async () => {
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
  it('asks for metrics and labels that there are', async () => {
    const found = (await dashboard()).panels.flatMap(({ title, targets }) =>
      targets.flatMap(({ expr }) => problemsOf(fillIn(expr), known).map(text => `${title}: ${text}`)),
    )
    expect(found).toEqual([])
  })

  it('has something in each panel, and no panel above another', async () => {
    const { panels } = await dashboard()
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)}:${y + Math.floor(cell / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
    expect(panels.filter(({ type, targets }) => type !== 'row' && targets.length === 0)).toEqual([])
  })
})

describe('the page on monitoring', () => {
  it('tells of every metric, and of no other', async () => {
    const told = [...(await readFile(DOCS, 'utf8')).matchAll(/^\| `([a-z_]+)`/gm)].map(match => match[1] ?? '')
    const series = [...known.keys()].filter(name => name !== 'up')
    const names = series.map(name => name.replace(/_(bucket|count|sum)$/, ''))
    expect(told.toSorted()).toEqual([...new Set(names)].toSorted())
  })
})

describe('a mistake in a query is noticed', () => {
  it.each([
    ['sum(rate(enbi_shim_bulids_total[5m]))', 'nobody has enbi_shim_bulids_total'],
    ['enbi_shim_pulls_total{namespace="a"}', 'enbi_shim_pulls_total has no namespace'],
    ['sum by (pod) (enbi_shim_pulls_total)', 'none of these has pod'],
    ['sum(enbi_shim_pulls_total', 'no PromQL at 25'],
    ['vector(1)', 'it asks for nothing'],
  ])('%s', (expression, problem) => {
    expect(problemsOf(expression, known)).toContain(problem)
  })
})
