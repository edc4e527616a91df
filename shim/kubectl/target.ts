import { type NixBuild, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { type Pod, pods } from '../../kube/resources/pod.ts'
import { FinalError, RetryableError } from '../../lib/errors.ts'
import { cleanText } from '../../lib/text/text.ts'
import type { UserKube } from '../commands/user-kube.ts'
import { buildsOfPod, type Doubt, nameBuilds, type PodBuilds } from './pod/pod-builds.ts'
import { createSystemReader } from './pod/pod-system.ts'

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

/** Finds the NixBuilds that a target stands for: of a pod, those of its images. */
export interface BuildFinder {
  /** Throws PullFailed if there are none. */
  find(signal: AbortSignal): Promise<PodBuilds>
  /** `find` for a pod whose NixBuilds may still come. Throws PullFailed if there is no such NixBuild or pod. */
  findOrNone(signal: AbortSignal): Promise<PodBuilds>
}

export function createBuildFinder(target: Target, user: UserKube): BuildFinder {
  const { kube, namespace } = user
  const readSystem = createSystemReader(user)

  async function findOrNone(signal: AbortSignal): Promise<PodBuilds> {
    if ('build' in target) {
      const build = await kube.get(nixBuilds, { namespace, name: target.build }, { signal })
      return { builds: [build ?? missingBuild(target.build, user)], others: [] }
    }
    const pod = await getPod(target.pod, user, signal)
    const [all, system] = await Promise.all([listBuilds(user, signal), readSystem(pod, signal)])
    return buildsOfPod(pod, all, system)
  }

  return {
    findOrNone,
    async find(signal) {
      const found = await findOrNone(signal)
      if (found.builds.length > 0 || !('pod' in target)) return found
      const { others } = found
      const more = others.length > 0 ? ` and the system of its node, only ${nameBuilds(others)}` : ''
      return missing(
        `no NixBuild of the namespace ${namespace} is for an image of pod/${target.pod}${more}: kubectl nixbuild why pod/${target.pod} says more`,
      )
    },
  }
}

/** Says that some of the builds may not be those of the pod. */
export function noteDoubt(doubt: Doubt, notes: { write(text: string): unknown }): void {
  notes.write(`${cleanText(describeDoubt('all follow', doubt))}\n`)
}

/** With what is done about it, and the way out. */
export function describeDoubt(what: string, { text }: Doubt): string {
  return `${what}: ${text}; name one in place of the pod to choose`
}

/** Throws PullFailed. */
export async function getPod(name: string, { kube, namespace }: UserKube, signal: AbortSignal): Promise<Pod> {
  const pod = await kube.get(pods, { namespace, name }, { signal })
  return pod ?? missing(`there is no pod ${name} in the namespace ${namespace}`)
}

/** Without a namespace, those of all. */
export async function listBuilds(
  { kube, namespace }: Pick<UserKube, 'kube'> & { readonly namespace: string | undefined },
  signal: AbortSignal,
): Promise<NixBuild[]> {
  const found: NixBuild[] = []
  await kube.list(nixBuilds, { namespace }, build => found.push(build), { signal })
  return found
}

/** Throws PullFailed. */
export function missingBuild(name: string, { namespace }: Pick<UserKube, 'namespace'>): never {
  return missing(`there is no NixBuild ${name} in the namespace ${namespace}`)
}

function missing(message: string): never {
  throw new RetryableError('PullFailed', message)
}
