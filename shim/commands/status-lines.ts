import { cutEnd, cutMiddle } from '../../lib/text/cut.ts'
import { alignColumns } from '../../lib/text/table.ts'
import { cleanText } from '../../lib/text/text.ts'
import { describeCount, describeDuration, describeSize, describeSpan } from '../../lib/text/units.ts'
import { describeProgress } from '../wire/progress.ts'
import type { StatusReport } from '../wire/status.ts'

type RunReportRow = StatusReport['runs'][number]
type Result = StatusReport['results'][number]
type Image = StatusReport['images'][number]

/** A report as lines of text that fit `width`. Headings begin at the start of the line, everything else is indented. */
export function statusLines(report: StatusReport, now: Date, width = Infinity): string[] {
  const room = width - INDENT.length
  const { shim, runs, queue, results, images, disk } = report
  return [
    ...shimLines(shim, now),
    '',
    ...section('Running', runLines(runs, now, room), 'no build or import is running'),
    '',
    ...section('Queue', queueLines(queue, now, room), 'nothing waits for a build to end'),
    '',
    ...section('Results', resultLines(results, now, room), 'nothing has been built since the shim started'),
    '',
    ...section('Images', imageLines(images, now, room), shim.containerdProblem ? UNKNOWN : 'the shim keeps no image'),
    '',
    'Disk',
    ...diskLines(disk, shim).map(line => `${INDENT}${line}`),
  ].map(line => cutEnd(cleanText(line).replace(/[\t\n]/g, ' '), width))
}

const INDENT = '  '
const UNKNOWN = 'not known: containerd does not answer'

function section(title: string, lines: readonly string[], otherwise: string): string[] {
  return [title, ...(lines.length > 0 ? lines : [otherwise]).map(line => `${INDENT}${line}`)]
}

function shimLines({ version, startedAt, containerd, containerdProblem, rules, maxBuilds }: Shim, now: Date): string[] {
  const policy =
    rules === 0 ? 'the policy has no rules, so nothing is built' : `policy of ${describeCount(rules, 'rule')}`
  const state = containerdProblem ? `does not answer: ${containerdProblem}` : 'answers'
  return [
    `enbi-shim ${version}`,
    `${INDENT}up for ${since(startedAt, now)}; ${describeCount(maxBuilds, 'concurrent build')}; ${policy}`,
    `${INDENT}containerd at ${containerd} ${state}`,
  ]
}

type Shim = StatusReport['shim']

/** The lines below a row are long and not aligned with it. */
interface Row {
  readonly cells: readonly string[]
  readonly below: readonly string[]
}

function table(headings: readonly string[], rows: readonly Row[], room: number): string[] {
  if (rows.length === 0) return []
  const [heading = '', ...aligned] = alignColumns([headings, ...rows.map(({ cells }) => cells)], room)
  return [heading, ...rows.flatMap(({ below }, index) => [aligned[index] ?? '', ...below.map(line => INDENT + line)])]
}

function runLines(runs: readonly RunReportRow[], now: Date, room: number): string[] {
  return table(
    ['IMAGE', 'FOR', 'PHASE'],
    runs.map(run => ({
      cells: [run.image, since(run.startedAt, now), describePhase(run)],
      below: [nameBelow(run.recipe, room), describeWaiters(run)],
    })),
    room,
  )
}

function queueLines(queue: readonly RunReportRow[], now: Date, room: number): string[] {
  return table(
    ['#', 'IMAGE', 'FOR'],
    queue.map((run, index) => ({
      cells: [String(index + 1), run.image, since(run.startedAt, now)],
      below: [nameBelow(run.recipe, room), describeWaiters(run)],
    })),
    room,
  )
}

/** Leaves out the store path, which is long and follows with the image. */
function describePhase({ progress }: RunReportRow): string {
  return progress.phase === 'built' ? 'built, to be imported' : describeProgress(progress)
}

/** Number of waiters that are named; the others are counted. */
const NAMED_WAITERS = 3

function describeWaiters({ waiting, waiters }: RunReportRow): string {
  if (waiting === 0) return 'nobody waits any more'
  const named = waiters.slice(0, NAMED_WAITERS).map(describeWaiter).join(', ')
  const others = waiting - Math.min(NAMED_WAITERS, waiters.length)
  return `for ${named}${others > 0 ? ` and ${others} more` : ''}`
}

/** `team/pod`, or the known part of it. */
function describeWaiter({ namespace, pod, nixBuild }: RunReportRow['waiters'][number]): string {
  if (pod) return `${namespace ?? ''}/${pod}`
  const where = namespace ? `namespace ${namespace}` : 'no namespace'
  return nixBuild ? `NixBuild ${namespace ?? ''}/${nixBuild}` : where
}

function resultLines(results: readonly Result[], now: Date, room: number): string[] {
  const hasRoom = room >= ROOM_FOR_RUN
  return table(
    ['IMAGE', 'RESULT', 'AGO', 'TOOK', ...(hasRoom ? ['RUN'] : [])],
    results.map(result => ({
      cells: [
        result.image,
        (result.errorCode ?? 'done') + (result.times > 1 ? ` ×${result.times}` : ''),
        since(result.endedAt, now),
        describeTook(result.tookMs),
        ...(hasRoom ? [result.runId ?? NONE] : []),
      ],
      below: [
        nameBelow(result.recipe, room),
        ...(hasRoom || result.runId === undefined ? [] : [`run ${result.runId}`]),
        ...(result.error === undefined ? [] : [result.error]),
      ],
    })),
    room,
  )
}

/** In narrower output, ids of runs stand below: they are long, because they name log files. */
const ROOM_FOR_RUN = 118

function nameBelow(name: string, room: number): string {
  return cutMiddle(cleanText(name), room - INDENT.length)
}

const NONE = '–'
const A_MINUTE_MS = 60_000

function describeTook(milliseconds: number | undefined): string {
  if (milliseconds === undefined) return NONE
  return milliseconds < A_MINUTE_MS ? describeDuration(milliseconds) : describeSpan(milliseconds)
}

function imageLines(images: readonly Image[], now: Date, room: number): string[] {
  return table(
    ['IMAGE', 'ID', 'SIZE', 'AGO'],
    images.map(({ image = '(no name any more)', imageId, size, updatedAt, storePath }) => ({
      cells: [image, shortId(imageId), size === undefined ? NONE : describeSize(size), since(updatedAt, now)],
      below: storePath === undefined ? [] : [nameBelow(storePath, room)],
    })),
    room,
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
