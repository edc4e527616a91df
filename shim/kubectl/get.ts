import { type NixBuild, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { alignColumns } from '../../lib/text/table.ts'
import { cleanText } from '../../lib/text/text.ts'
import { describeSpan } from '../../lib/text/units.ts'
import { type UserKube, type UserKubeArguments, withUserKube } from '../commands/user-kube.ts'
import { findBuilds, parseTarget } from './target.ts'

export interface GetArguments extends UserKubeArguments {
  /** By default all of the namespace. */
  readonly target?: string | undefined
  readonly allNamespaces: boolean
}

export interface GetIo {
  readonly json: boolean
  readonly output: NodeJS.WriteStream
  readonly signal: AbortSignal
}

/** Shows NixBuilds with their nodes and progress. Throws ConfigInvalid, PullFailed and the errors of a Kube. */
export async function getBuilds(args: GetArguments, { json, output, signal }: GetIo): Promise<void> {
  const builds = await withUserKube(args, user => findAll(args, user, signal))
  const { columns = Number.POSITIVE_INFINITY } = output
  const lines = json ? builds.map(build => JSON.stringify(build)) : buildLines(builds, args, new Date(), columns)
  output.write(lines.map(line => `${line}\n`).join(''))
}

async function findAll(
  { target, allNamespaces }: GetArguments,
  user: UserKube,
  signal: AbortSignal,
): Promise<readonly NixBuild[]> {
  if (target !== undefined) return findBuilds(parseTarget(target), user, signal)
  const found: NixBuild[] = []
  const selection = allNamespaces ? {} : { namespace: user.namespace }
  await user.kube.list(nixBuilds, selection, build => found.push(build), { signal })
  return found
}

/** A line for each NixBuild, no longer than `width`. */
export function buildLines(
  builds: readonly NixBuild[],
  { allNamespaces }: Pick<GetArguments, 'allNamespaces'>,
  now: Date,
  width: number,
): string[] {
  if (builds.length === 0) return ['No NixBuilds found.']
  const namespace = (text: string) => (allNamespaces ? [text] : [])
  const head = [...namespace('NAMESPACE'), 'NAME', 'IMAGE', 'STATUS', 'NODE', 'AGE', 'PROGRESS']
  const rows = builds.map(({ metadata, spec, status }) => [
    ...namespace(metadata.namespace ?? ''),
    metadata.name,
    spec.imageTag,
    status.status ?? 'Pending',
    status.buildNode ?? NONE,
    describeSpan(now.getTime() - Date.parse(metadata.creationTimestamp)),
    progressOf(status),
  ])
  return alignColumns([head, ...rows.map(row => row.map(cell => cleanText(cell).replaceAll('\n', ' ')))], width)
}

const NONE = '–'

/** What it waits for, or why it failed, if nothing is under way. */
function progressOf({ status, progress, conditions, completionTime }: NixBuild['status']): string {
  const message = (type: string) => conditions.find(each => each.type === type)?.message
  if (status === 'Failed') return message('Success')?.split('\n', 1)[0] ?? 'failed'
  if (status === undefined) return 'waiting for the controller'
  if (status === 'Pending') return progress ?? message('Complete') ?? NONE
  return progress ?? completionTime ?? NONE
}
