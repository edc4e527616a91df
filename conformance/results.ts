import { readFile, writeFile } from 'node:fs/promises'
import * as v from 'valibot'

/** What one section of the page says. */
export type Section = v.InferOutput<typeof sectionSchema>

/** By name of the section. */
export type Results = Readonly<Record<string, Section>>

/** What a part of the run found. */
export type Findings = Omit<Section, 'date' | 'versions'>

const sectionSchema = v.object({
  date: v.pipe(v.string(), v.isoDate()),
  versions: v.string(),
  columns: v.array(v.string()),
  rows: v.array(v.array(v.string())),
  /** What is not as promised. The command fails if there is any. */
  problems: v.array(v.string()),
})

const FILE = new URL('results.json', import.meta.url)

export async function readResults(): Promise<Results> {
  return v.parse(v.record(v.string(), sectionSchema), JSON.parse(await readFile(FILE, 'utf8')))
}

export async function writeResults(results: Results): Promise<void> {
  await writeFile(FILE, `${JSON.stringify(results, null, 2)}\n`)
}
