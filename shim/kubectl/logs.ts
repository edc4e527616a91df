import { once } from 'node:events'
import type { NodeLogs } from '../../kube/client/contract.ts'
import { isFinished, type NixBuild } from '../../kube/resources/nixbuild.ts'
import { pause } from '../../lib/async/retry.ts'
import { FinalError, ShimError } from '../../lib/errors.ts'
import { type UserKube, type UserKubeArguments, withUserKube } from '../commands/user-kube.ts'
import { parseRunId } from '../wire/run-id.ts'
import { followBuild } from './follow-build.ts'
import { createTailReader } from './tail.ts'
import { createBuildFinder, noteDoubt, parseTarget } from './target.ts'
import { createWholeLog, type LoggedRun, type WholeLog } from './whole-log.ts'

export interface LogsArguments extends UserKubeArguments {
  readonly target: string
  readonly follow: boolean
}

export interface LogsIo {
  readonly output: NodeJS.WritableStream
  /** For what is not part of the log. */
  readonly notes: { write(text: string): unknown }
  readonly signal: AbortSignal
}

/**
 * Writes the logs of builds: the whole logs if the user may read them on their nodes, otherwise their last lines. Throws
 * RecipeInvalid, PullFailed and the errors of a Kube.
 */
export async function showLogs({ target, follow, ...args }: LogsArguments, io: LogsIo): Promise<void> {
  const parsed = parseTarget(target)
  await withUserKube(args, async user => {
    const { builds, doubt } = await createBuildFinder(parsed, user).find(io.signal)
    if (doubt !== undefined) noteDoubt(doubt, io.notes)
    if (follow) return followLog(chooseOne(builds), user, io)
    for (const build of builds) {
      if (builds.length > 1) io.notes.write(`==> ${build.metadata.name} <==\n`)
      await createLogView(user, io).show(build, true)
    }
  })
}

function chooseOne(builds: readonly NixBuild[]): NixBuild {
  const running = builds.filter(({ status }) => !isFinished(status.status))
  const [one, ...others] = running.length > 0 ? running : builds
  if (one !== undefined && others.length === 0) return one
  const names = builds.map(({ metadata }) => metadata.name).join(', ')
  throw new FinalError('RecipeInvalid', `the pod has several builds, and one can be followed: name one of ${names}`)
}

/** How often the log of a node is asked for. */
const POLL_MS = 1000

async function followLog(build: NixBuild, user: UserKube, io: LogsIo): Promise<void> {
  const { namespace, name } = build.metadata
  const view = createLogView(user, io)
  const over = new AbortController()
  const changes = followBuild({ namespace, name }, user, {
    onAway: note => io.notes.write(`${note}\n`),
    signal: AbortSignal.any([io.signal, over.signal]),
  })
  let next = changes.next()
  next.catch(() => {})
  let latest = build
  for (;;) {
    const change = await Promise.race([next, pause(POLL_MS, io.signal)])
    if (change) {
      if (change.done) return
      latest = change.value
      next = changes.next()
      next.catch(() => {})
    }
    const isOver = isFinished(latest.status.status)
    await view.show(latest, isOver)
    if (!isOver) continue
    return over.abort()
  }
}

export interface LogView {
  /** Writes what is new. `isLast`: nothing more will come. */
  show(build: NixBuild, isLast: boolean): Promise<void>
}

export function createLogView(user: { readonly kube: NodeLogs }, { output, notes, signal }: LogsIo): LogView {
  const newLines = createTailReader()
  let current: { readonly run: LoggedRun; readonly log: WholeLog } | undefined
  /** Why only the last lines are shown. */
  let refusal: string | undefined
  let isShown = false

  async function write(text: string): Promise<void> {
    isShown = true
    if (!output.write(text)) await once(output, 'drain', { signal })
  }

  function logOf(run: LoggedRun): WholeLog {
    if (current?.run.node === run.node && current.run.runId === run.runId) return current.log
    if (current !== undefined) notes.write(`the log of another run follows, on ${run.node}\n`)
    const log = createWholeLog({ run, kube: user.kube, write, signal })
    current = { run, log }
    return log
  }

  /** Whether the whole log can be read, perhaps later. */
  async function showWhole(build: NixBuild, isLast: boolean): Promise<'shown' | 'later' | 'never'> {
    const run = runOf(build)
    if (run === undefined || refusal !== undefined) return 'never'
    try {
      if (await logOf(run).writeNew()) return 'shown'
      // The run may just have begun.
      if (!isLast) return 'later'
      refusal = `${run.node} has no log of the run ${run.runId} in /var/log/enbi-shim`
    } catch (error) {
      if (signal.aborted || !(error instanceof ShimError)) throw error
      if (error.retryable && !isLast) return 'later'
      refusal = isForbidden(error) ? RIGHT : error.message
    }
    notes.write(`only the last lines: ${refusal}\n`)
    return 'never'
  }

  return {
    async show(build, isLast) {
      const whole = await showWhole(build, isLast)
      if (whole === 'later') return
      // If the whole log ends early, its last lines continue where it did.
      const lines = newLines(build.status)
      if (whole === 'shown') return
      if (lines.length > 0) await write(lines.map(line => `${line}\n`).join(''))
      else if (isLast && !isShown) notes.write(`the NixBuild ${build.metadata.name} has ${NO_LINES}\n`)
    },
  }
}

const RIGHT =
  'the whole log takes the right to get nodes/proxy, which is one of administrators of nodes (docs: how-to/read-build-logs.md)'
const NO_LINES = 'no lines of a log: builds that succeed within 30 s and images that existed have none'

function isForbidden({ code, cause }: ShimError): boolean {
  return code === 'ClusterRefused' && cause instanceof Error && 'status' in cause && cause.status === 403
}

/** The status is made of what nodes say, and becomes part of a path. */
function runOf({ status: { buildNode, buildJobName } }: NixBuild): LoggedRun | undefined {
  if (buildNode === undefined || buildJobName === undefined) return undefined
  return parseRunId(buildJobName) && { node: buildNode, runId: buildJobName }
}
