import { readFile, writeFile } from 'node:fs/promises'
import * as v from 'valibot'
import { measureAttack } from './measure/attack.ts'
import { measureCluster } from './measure/cluster.ts'
import { measureFirstPull } from './measure/first-pull.ts'
import { measureImport } from './measure/import.ts'
import { measureMemory } from './measure/memory.ts'
import { measureNames } from './measure/names.ts'
import { measurePassThrough } from './measure/pass-through.ts'
import { measurePull } from './measure/pull.ts'
import { measureSharedLayers } from './measure/shared-layers.ts'
import { measureStart } from './measure/start.ts'
import { measureStorm } from './measure/storm.ts'
import { formatTable, type Result, resultSchema, round } from './result.ts'

const MEASURES = {
  attack: measureAttack,
  passthrough: measurePassThrough,
  rss: measureMemory,
  import: measureImport,
  names: async () => [...(await measureNames()), ...(await measureSharedLayers()), ...(await measureFirstPull())],
  pull: measurePull,
  start: measureStart,
  cluster: measureCluster,
  storm: measureStorm,
}
const RESULTS = new URL('results.json', import.meta.url)
const README = new URL('../README.md', import.meta.url)

const wanted = process.argv.slice(2)
const results: Result[] = []
for (const [name, measure] of Object.entries(MEASURES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  process.stderr.write(`measuring ${name} …\n`)
  results.push(...(await measure()))
}
process.stdout.write(`${formatTable(results)}\n`)
const all = merge(await readResults(), results)
await writeFile(RESULTS, `${JSON.stringify(all, null, 2)}\n`)
await writeReadme(formatTable(all))

async function readResults(): Promise<Result[]> {
  return v.parse(v.array(resultSchema), JSON.parse(await readFile(RESULTS, 'utf8')))
}

/** What was measured takes the place of the older figure of that name; new ones come last. */
function merge(before: readonly Result[], measured: readonly Result[]): Result[] {
  const byName = new Map(before.map(result => [result.name, result]))
  for (const result of measured) byName.set(result.name, { ...result, value: round(result.value) })
  return [...byName.values()]
}

async function writeReadme(table: string): Promise<void> {
  const text = await readFile(README, 'utf8')
  const between = /(<!-- figures -->\n)[\s\S]*?(\n<!-- \/figures -->)/
  await writeFile(
    README,
    text.replace(between, (_all, before, after) => `${before}${table}${after}`),
  )
}
