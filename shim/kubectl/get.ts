import type { NixBuild } from '../../kube/resources/nixbuild.ts'
import { alignColumns } from '../../lib/text/table.ts'
import { cleanText } from '../../lib/text/text.ts'
import { describeSpan } from '../../lib/text/units.ts'
import { type UserKube, type UserKubeArguments, withUserKube } from '../commands/user-kube.ts'
import { getObjects, type ObjectFormat, type ObjectSelection } from './get-objects.ts'
import { createBuildFinder, listBuilds, noteDoubt, parseTarget } from './target.ts'

export interface GetArguments extends UserKubeArguments {
  /** By default all of the namespace. */
  readonly target?: string | undefined
  readonly allNamespaces: boolean
}

export interface GetIo {
  readonly format: ObjectFormat | 'table'
  readonly output: NodeJS.WriteStream
  /** For what is not a NixBuild. */
  readonly notes: { write(text: string): unknown }
  readonly signal: AbortSignal
}

/**
 * Shows NixBuilds with their nodes and progress, or as objects. Throws RecipeInvalid, ConfigInvalid, PullFailed and the
 * errors of a Kube.
 */
export async function getBuilds(args: GetArguments, { format, output, ...io }: GetIo): Promise<void> {
  const target = args.target === undefined ? undefined : parseTarget(args.target)
  const selection = { target, allNamespaces: args.allNamespaces }
  const text = await withUserKube(args, async user => {
    if (format !== 'table') return getObjects(selection, user, { ...io, format })
    const { columns = Number.POSITIVE_INFINITY } = output
    const lines = buildLines(await findAll(selection, user, io), args, new Date(), columns)
    return lines.map(line => `${line}\n`).join('')
  })
  output.write(text)
}

async function findAll(
  { target, allNamespaces }: ObjectSelection,
  user: UserKube,
  { notes, signal }: Pick<GetIo, 'notes' | 'signal'>,
): Promise<readonly NixBuild[]> {
  if (target === undefined)
    return listBuilds({ ...user, namespace: allNamespaces ? undefined : user.namespace }, signal)
  const { builds, doubt } = await createBuildFinder(target, user).find(signal)
  if (doubt !== undefined) noteDoubt(doubt, notes)
  return builds
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
