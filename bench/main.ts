import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { measureImport } from './measure/import.ts'
import { measureMemory } from './measure/memory.ts'
import { measurePassThrough } from './measure/pass-through.ts'
import { measurePull } from './measure/pull.ts'
import { measureStart } from './measure/start.ts'
import { formatTable, type Result, round } from './result.ts'

const MEASURES = {
  passthrough: measurePassThrough,
  rss: measureMemory,
  import: measureImport,
  pull: measurePull,
  start: measureStart,
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
if (wanted.length === 0) {
  await mkdir(new URL('.', RESULTS), { recursive: true })
  await writeFile(
    RESULTS,
    `${JSON.stringify(
      results.map(r => ({ ...r, value: round(r.value) })),
      null,
      2,
    )}\n`,
  )
  await writeReadme(formatTable(results))
}

async function writeReadme(table: string): Promise<void> {
  const text = await readFile(README, 'utf8')
  const between = /(<!-- figures -->\n)[\s\S]*?(\n<!-- \/figures -->)/
  await writeFile(
    README,
    text.replace(between, (_all, before, after) => `${before}${table}${after}`),
  )
}
