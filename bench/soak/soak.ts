import { copyFile, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createKube } from '../../kube/client/client.ts'
import type { Kube } from '../../kube/client/contract.ts'
import { messageOf } from '../../lib/errors.ts'
import { podEvents } from '../../test/cluster/pods.ts'
import { startChurn } from './churn.ts'
import { type Failure, failedPulls, followFailures, retriedPods } from './failures.ts'
import { changeRecipes, daemonsOf, makeFaults, requireRunning } from './faults.ts'
import { growthOf, type Sample, sampleMemory } from './growth.ts'
import { type Build, type LatePod, latePods, type Wait, wrongImages } from './late.ts'
import { findLeft, type Left, otherProcesses } from './left.ts'
import { type Soak, startSoak } from './node.ts'
import { createRecipes } from './recipes.ts'
import { until } from './until.ts'
import { followBuilds, followPods } from './watch.ts'

const PODS = 40
/** Seven days of such a cluster in an hour. */
const CHANGES = 120
const SHORTEST_PAUSE_MS = 10_000
const LIVES_MS = [60_000, 120_000] as const

export interface SoakOptions {
  readonly minutes: number
  readonly pods?: number
}

/** Throws with a list of what is left at the end. */
export async function soak({ minutes, pods = PODS }: SoakOptions) {
  await using bed = await startSoak()
  const kube = createKube({ kubeconfig: bed.cluster.adminKubeconfig })
  try {
    return await soakNode(bed, kube, { minutes, pods })
  } finally {
    await kube.close()
  }
}

async function soakNode(bed: Soak, kube: Kube, { minutes, pods }: Required<SoakOptions>) {
  const { node, controller } = bed
  const runMs = minutes * 60_000
  const bystanders = otherProcesses(node)
  const namespace = await bed.cluster.createNamespace()
  const recipes = await createRecipes(node.bed.dir)
  await using seen = followPods(kube, namespace)
  await using builds = followBuilds(kube, namespace)
  await using failures = followFailures(kube, namespace)
  const failed = new AbortController()
  const over = AbortSignal.any([AbortSignal.timeout(runMs), failed.signal])
  const livesMs = [Math.min(LIVES_MS[0], runMs / 4), Math.min(LIVES_MS[1], runMs / 2)] as const
  const churn = startChurn({ kube, namespace, node: node.name, recipes, seen, pods, livesMs, over })
  const parts = [
    churn.ended,
    makeFaults({ soak: bed, churn, seen, runMs, signal: failed.signal }),
    changeRecipes(recipes, Math.max(SHORTEST_PAUSE_MS, runMs / CHANGES), over),
  ] as const
  const memory = Promise.all([node.shim.daemon, controller.daemon].map(daemon => sampleMemory(daemon, runMs, over)))
  try {
    await Promise.all(parts)
  } finally {
    failed.abort()
    await Promise.allSettled(parts)
  }
  requireRunning(daemonsOf(bed))
  const growths = (await memory).map(tellGrowth)
  await untilNothingLeft(kube, bed, bystanders)
  const restarts = await parts[1]
  const ended = [...builds.ended]
  requireBuilds(churn.waits, ended, builds.failed)
  const pulls = failedPulls(failures.seen, churn.waits, restarts)
  const late = latePods(churn.waits, ended, retriedPods(failures.seen, restarts))
  process.stderr.write(`  ${churn.waits.length} pods, ${ended.length} builds\n`)
  for (const pull of pulls) tellFailure(pull)
  for (const pod of late) await tellLate(bed, namespace, pod)
  if (pulls.length + late.length > 0) await keepLogs(bed)
  const longest = Math.max(...ended.map(({ startedAt, completedAt }) => completedAt - startedAt))
  return {
    'soak.minutes': minutes,
    'soak.rss.growth': Math.max(...growths),
    'soak.build.longest': longest / 1000,
    'soak.failed': pulls.length,
    'soak.late': late.length,
  }
}

/** Throws unless each pod has the image that a build of its recipe has made, and no build has failed. */
function requireBuilds(waits: readonly Wait[], builds: readonly Build[], failed: ReadonlySet<string>): void {
  const wrong = wrongImages(waits, builds).map(({ pod, imageId }) => `${pod} has ${imageId}`)
  if (wrong.length > 0) throw new Error(`no build has made these images: ${wrong.join(', ')}`)
  if (failed.size > 0) throw new Error(`builds failed: ${[...failed].join(', ')}`)
}

function tellFailure({ pod, message, from }: Failure): void {
  process.stderr.write(`  ${pod}, at ${new Date(from).toISOString()}: ${message}\n`)
}

function tellGrowth(samples: readonly Sample[], index: number): number {
  const growth = growthOf(samples)
  const last = samples.at(-1)?.megabytes.toFixed(0)
  process.stderr.write(`  ${index === 0 ? 'shim' : 'controller'}: ${last} MB at the end, growth ${growth.toFixed(3)}\n`)
  return growth
}

async function untilNothingLeft(kube: Kube, bed: Soak, bystanders: readonly number[]): Promise<void> {
  let left: Left | string = {}
  await until(
    async () => {
      left = await findLeft(kube, bed.node, bystanders).catch(messageOf)
      return typeof left !== 'string' && Object.keys(left).length === 0
    },
    () => `left at the end: ${JSON.stringify(left)}`,
  )
}

/** With the pod's events, which outlive it. */
async function tellLate({ cluster }: Soak, namespace: string, { wait, waitedMs, buildMs }: LatePod): Promise<void> {
  const { pod, createdAt, runningAt } = wait
  const [from, to] = [createdAt, runningAt].map(time => new Date(time).toISOString())
  process.stderr.write(
    `  ${pod} waited ${waitedMs / 1000} s, from ${from} to ${to}, of which ${buildMs / 1000} s for a build\n`,
  )
  for (const { reason, message } of await podEvents(cluster, { namespace, name: pod }))
    process.stderr.write(`    ${reason}: ${message}\n`)
}

/** Keeps the logs of all daemons, which are deleted with the cluster. */
async function keepLogs(soak: Soak): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'enbi-soak-logs-'))
  for (const [name, { logPath }] of Object.entries(daemonsOf(soak))) await copyFile(logPath, join(dir, `${name}.log`))
  process.stderr.write(`  the logs of all daemons are in ${dir}\n`)
}
