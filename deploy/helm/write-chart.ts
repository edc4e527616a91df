// npm run chart
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeChart } from './chart.ts'
import { makeRules, RULES_FILE } from './rules.ts'

const CHART = join(import.meta.dirname, 'enbi-shim')

// The chart has them, too.
await writeFile(RULES_FILE, await makeRules())
const files = await makeChart()
await rm(CHART, { recursive: true, force: true })
for (const [name, text] of files) {
  const path = join(CHART, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
}
