import { readFile, writeFile } from 'node:fs/promises'
import * as v from 'valibot'

/** What one run of a group of measurements has found. */
export type GroupResult = v.InferOutput<typeof groupResultSchema>

/** By group. */
export type Results = Readonly<Record<string, GroupResult>>

const groupResultSchema = v.object({
  date: v.pipe(v.string(), v.isoDate()),
  machine: v.string(),
  /** By figure. */
  values: v.record(v.string(), v.number()),
})

const FILE = new URL('results.json', import.meta.url)

export async function readResults(): Promise<Results> {
  return v.parse(v.record(v.string(), groupResultSchema), JSON.parse(await readFile(FILE, 'utf8')))
}

export async function writeResults(results: Results): Promise<void> {
  await writeFile(FILE, `${JSON.stringify(results, null, 2)}\n`)
}
