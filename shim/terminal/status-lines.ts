import { cleanText } from '../build/text.ts'
import type { StatusReport } from '../status/messages.ts'
import { describeDuration, describeProgress } from './describe.ts'
import { describeCount, describeSize, describeSpan } from './quantities.ts'
import { alignColumns } from './table.ts'

type Run = StatusReport['runs'][number]
type Result = StatusReport['results'][number]
type Image = StatusReport['images'][number]

/** A report as lines of text. Headings begin at the start of the line, all else is indented. */
export function statusLines(report: StatusReport, now: Date): string[] {
  const { shim, runs, queue, results, images, disk } = report
  return [
    ...shimLines(shim, now),
    '',
    ...section('Running', runLines(runs, now), 'no build or import is running'),
    '',
    ...section('Queue', queueLines(queue, now), 'nothing waits for a build to end'),
    '',
    ...section('Results', resultLines(results, now), 'nothing has been built since the shim started'),
    '',
    ...section('Images', imageLines(images, now), shim.containerdProblem ? UNKNOWN : 'the shim keeps no image'),
    '',
    'Disk',
    ...diskLines(disk, shim).map(line => `${INDENT}${line}`),
  ].map(line => cleanText(line).replace(/[\t\n]/g, ' '))
}

const INDENT = '  '
const UNKNOWN = 'not known: containerd does not answer'

function section(title: string, lines: readonly string[], otherwise: string): string[] {
  return [title, ...(lines.length > 0 ? lines : [otherwise]).map(line => `${INDENT}${line}`)]
}

function shimLines({ version, startedAt, containerd, containerdProblem, rules, maxBuilds }: Shim, now: Date): string[] {
  const policy = rules === 0 ? 'the policy has no rule: nothing is built' : `policy of ${describeCount(rules, 'rule')}`
  const state = containerdProblem ? `does not answer: ${containerdProblem}` : 'answers'
  return [
    `enbi-shim ${version}`,
    `${INDENT}up for ${since(startedAt, now)}; ${describeCount(maxBuilds, 'build')} at once; ${policy}`,
    `${INDENT}containerd at ${containerd} ${state}`,
  ]
}

type Shim = StatusReport['shim']

/** What is under each row is long, and need not be aligned. */
interface Row {
  readonly cells: readonly string[]
  readonly below: readonly string[]
}

function table(headings: readonly string[], rows: readonly Row[]): string[] {
  if (rows.length === 0) return []
  const [heading = '', ...aligned] = alignColumns([headings, ...rows.map(({ cells }) => cells)])
  return [heading, ...rows.flatMap(({ below }, index) => [aligned[index] ?? '', ...below.map(line => INDENT + line)])]
}

function runLines(runs: readonly Run[], now: Date): string[] {
  return table(
    ['IMAGE', 'FOR', 'PHASE'],
    runs.map(run => ({
      cells: [run.image, since(run.startedAt, now), describePhase(run)],
      below: [run.recipe, describeWaiters(run)],
    })),
  )
}

function queueLines(queue: readonly Run[], now: Date): string[] {
  return table(
    ['#', 'IMAGE', 'FOR'],
    queue.map((run, index) => ({
      cells: [String(index + 1), run.image, since(run.startedAt, now)],
      below: [run.recipe, describeWaiters(run)],
    })),
  )
}

/** Store paths are long, and follow with the image. */
function describePhase({ progress }: Run): string {
  return progress.phase === 'built' ? 'built, to be imported' : describeProgress(progress)
}

/** That many are named, the others are counted. */
const NAMED_WAITERS = 3

function describeWaiters({ waiting, waiters }: Run): string {
  if (waiting === 0) return 'nobody waits any more'
  const named = waiters.slice(0, NAMED_WAITERS).map(describeWaiter).join(', ')
  const others = waiting - Math.min(NAMED_WAITERS, waiters.length)
  return `for ${named}${others > 0 ? ` and ${others} more` : ''}`
}

/** `team/pod`, or as much of it as is known. */
function describeWaiter({ namespace, pod, nixBuild }: Run['waiters'][number]): string {
  if (pod) return `${namespace ?? ''}/${pod}`
  const where = namespace ? `namespace ${namespace}` : 'no namespace'
  return nixBuild ? `NixBuild ${namespace ?? ''}/${nixBuild}` : where
}

function resultLines(results: readonly Result[], now: Date): string[] {
  return table(
    ['IMAGE', 'RESULT', 'AGO', 'TOOK', 'RUN'],
    results.map(result => ({
      cells: [
        result.image,
        (result.errorCode ?? 'done') + (result.times > 1 ? ` ×${result.times}` : ''),
        since(result.endedAt, now),
        describeTook(result.tookMs),
        result.runId ?? NONE,
      ],
      below: result.error === undefined ? [result.recipe] : [result.recipe, result.error],
    })),
  )
}

const NONE = '–'
const A_MINUTE_MS = 60_000

function describeTook(milliseconds: number | undefined): string {
  if (milliseconds === undefined) return NONE
  return milliseconds < A_MINUTE_MS ? describeDuration(milliseconds) : describeSpan(milliseconds)
}

function imageLines(images: readonly Image[], now: Date): string[] {
  return table(
    ['IMAGE', 'ID', 'SIZE', 'AGO'],
    images.map(({ image = '(no name any more)', imageId, size, updatedAt, storePath }) => ({
      cells: [image, shortId(imageId), size === undefined ? NONE : describeSize(size), since(updatedAt, now)],
      below: storePath === undefined ? [] : [storePath],
    })),
  )
}

const SHORT_ID_LENGTH = 12

function shortId(imageId: string | undefined): string {
  return imageId?.replace(/^sha256:/, '').slice(0, SHORT_ID_LENGTH) ?? NONE
}

function diskLines({ store, digests, plans, logs }: StatusReport['disk'], shim: Shim): string[] {
  const problem = shim.containerdProblem ? UNKNOWN : store.problem && `not known: ${store.problem}`
  const files = (use: { files: number; bytes: number }, noun: string) =>
    `${describeSize(use.bytes)} in ${describeCount(use.files, noun)}`
  return alignColumns([
    [
      'Nix store',
      problem ??
        `${describeSize(store.narBytes)} in ${describeCount(store.paths, 'store path')} that these images hold (NAR sizes)`,
    ],
    ['cache', `${files(digests, 'layer digest')}, ${files(plans, 'image plan')}`],
    ['logs', `${files(logs, 'file')} in ${shim.logs}`],
  ])
}

function since(time: Date | undefined, now: Date): string {
  return time ? describeSpan(now.getTime() - time.getTime()) : NONE
}
