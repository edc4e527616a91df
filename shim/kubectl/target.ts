import { type NixBuild, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { type Pod, pods } from '../../kube/resources/pod.ts'
import { FinalError, RetryableError } from '../../lib/errors.ts'
import type { UserKube } from '../commands/user-kube.ts'
import { buildsOfPod } from './pod.ts'

/** What `NAME` or `pod/NAME` on the command line stands for. */
export type Target = { readonly build: string } | { readonly pod: string }

const KINDS = { pod: ['pod', 'pods', 'po'], build: ['nixbuild', 'nixbuilds', 'nb', 'nixbuilds.enbi.hrzn.ee'] }

/** Throws RecipeInvalid. */
export function parseTarget(text: string): Target {
  const [kind = '', name, ...rest] = text.split('/')
  if (name === undefined && isName(kind)) return { build: kind }
  if (name !== undefined && isName(name) && rest.length === 0) {
    if (KINDS.pod.includes(kind)) return { pod: name }
    if (KINDS.build.includes(kind)) return { build: name }
  }
  throw new FinalError('RecipeInvalid', 'expected the name of a NixBuild, or pod/NAME')
}

/** Names of API objects, which become parts of paths. */
function isName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text)
}

/** The NixBuilds that a target stands for: of a pod, those of its images. Throws PullFailed if there are none. */
export async function findBuilds(target: Target, user: UserKube, signal: AbortSignal): Promise<readonly NixBuild[]> {
  const found = await findBuildsOrNone(target, user, signal)
  if (found.length > 0 || !('pod' in target)) return found
  return missing(
    `no NixBuild of the namespace ${user.namespace} is for an image of pod/${target.pod}: kubectl nixbuild why pod/${target.pod} says more`,
  )
}

/** `findBuilds` for a pod whose NixBuilds may still come. Throws PullFailed if there is no such NixBuild or pod. */
export async function findBuildsOrNone(
  target: Target,
  user: UserKube,
  signal: AbortSignal,
): Promise<readonly NixBuild[]> {
  const { kube, namespace } = user
  if ('build' in target) {
    const build = await kube.get(nixBuilds, { namespace, name: target.build }, { signal })
    return [build ?? missing(`there is no NixBuild ${target.build} in the namespace ${namespace}`)]
  }
  const pod = await getPod(target.pod, user, signal)
  return buildsOfPod(pod, await listBuilds(user, signal))
}

/** Throws PullFailed. */
export async function getPod(name: string, { kube, namespace }: UserKube, signal: AbortSignal): Promise<Pod> {
  const pod = await kube.get(pods, { namespace, name }, { signal })
  return pod ?? missing(`there is no pod ${name} in the namespace ${namespace}`)
}

export async function listBuilds({ kube, namespace }: UserKube, signal: AbortSignal): Promise<NixBuild[]> {
  const found: NixBuild[] = []
  await kube.list(nixBuilds, { namespace }, build => found.push(build), { signal })
  return found
}

function missing(message: string): never {
  throw new RetryableError('PullFailed', message)
}
