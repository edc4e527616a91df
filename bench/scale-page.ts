import { readFile, writeFile } from 'node:fs/promises'
import { FLEET } from './fleet-size.ts'
import { type GroupResult, type Results, readResults } from './results.ts'

const PAGE = new URL('../docs/explanation/scale.md', import.meta.url)
const TABLE = /(<!-- scale -->\n)[\s\S]*?(<!-- \/scale -->)/g

/** The cluster for which the page works out the costs. */
const CLUSTER = { nodes: 5_000, pods: 150_000 }
/** The controller's `--kube-api-qps` by default. */
const WRITES_PER_SECOND = 200

export async function writeScalePage(): Promise<void> {
  await writeFile(PAGE, fillScale(await readScalePage(), await readResults()))
}

export function readScalePage(): Promise<string> {
  return readFile(PAGE, 'utf8')
}

/** Replaces the tables of the page by what follows from the figures. */
export function fillScale(page: string, { fleet }: Results): string {
  return page.replace(TABLE, (_all, start: string, end: string) => `${start}${tables(fleet)}\n${end}`)
}

function tables(fleet: GroupResult | undefined): string {
  if (fleet === undefined) return 'Not measured yet.'
  const read = (name: string) => fleet.values[`fleet.${name}`] ?? Number.NaN
  const restMs = read('rest.cpu')
  const herdMs = (read('herd.cpu') * 1000) / FLEET.herd
  /** A condition for each Pod; each NixBuild is created, and its status is written. */
  const writes = FLEET.pods + 2 * FLEET.recipes
  const writeMs = (read('catchup.cpu') * 1000) / writes
  const renewals = (CLUSTER.nodes * read('rest.writes')) / 60
  const restCores = (CLUSTER.nodes * restMs) / 60_000
  const herdSeconds = (CLUSTER.nodes * herdMs) / 1000
  const minutes = CLUSTER.pods / WRITES_PER_SECOND / 60
  return [
    '| what | processor time of the API server | from |',
    '|---|---|---|',
    `| a node at rest | ${round(restMs)} ms a minute | \`fleet.rest.cpu\` |`,
    `| a node that builds a recipe for one Pod | ${round(herdMs)} ms in all | \`fleet.herd.cpu\` / ${FLEET.herd} |`,
    `| a condition of a Pod, or a write of a NixBuild | ${round(writeMs)} ms | \`fleet.catchup.cpu\` / ${count(writes)} |`,
    '',
    `For ${count(CLUSTER.nodes)} nodes and ${count(CLUSTER.pods)} annotated Pods:`,
    '',
    '| when | requests | processors of the API server |',
    '|---|---|---|',
    `| at rest | ${round(renewals)} renewals of Leases a second | ${round(restCores)} |`,
    `| all nodes build one recipe at the same time | one write a second from each node at most | ${round(herdSeconds)} s in all |`,
    `| all Pods get their condition, as after the installation | ${WRITES_PER_SECOND} a second for ${round(minutes)} minutes | ${round((WRITES_PER_SECOND * writeMs) / 1000)} |`,
  ].join('\n')
}

function round(value: number): string {
  return count(Number(value.toPrecision(2)))
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
