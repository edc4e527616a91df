import { ApiStatus } from '../kube/client/api-error.ts'
import type { Kind, Kube } from '../kube/client/contract.ts'
import { messageOf, ShimError } from '../lib/errors.ts'

/** A watch that has lasted this long works, even without events. In milliseconds. */
const WATCH_WORKS_MS = 1_000

/** Derives the controller's health from the API server's answers. */
export interface Health {
  /** The given API server, with its answers observed. */
  readonly kube: Kube
  /**
   * Distinct messages for people: missing rights, an unknown kind, or an API server that is away or has not answered
   * yet.
   */
  problems(): string[]
  /** Drops the problems of a former leader's writes: it makes no more that could resolve them. */
  forgetProblemsOfLead(): void
  /** Drops the problems of watches that have ended. */
  forgetProblemsOfWatches(): void
}

export function createHealth(kube: Kube): Health {
  const problems = new Map<string, string>()
  const watches = new Map<string, number>()
  let answered = false

  async function note<T>(verb: string, kind: Kind<unknown>, answer: Promise<T>): Promise<T> {
    const key = `${verb} ${kind.plural}`
    try {
      const value = await answer
      problems.delete(key)
      answered = true
      return value
    } catch (error) {
      if (isProblem(verb, error)) problems.set(key, messageOf(error))
      throw error
    }
  }

  async function* watch(kind: Kind<unknown>, call: Parameters<Kube['watch']>[1]): ReturnType<Kube['watch']> {
    const key = `watch ${kind.plural}`
    watches.set(key, performance.now())
    try {
      for await (const event of kube.watch(kind, call)) {
        problems.delete(key)
        yield event
      }
    } catch (error) {
      if (isProblem('watch', error)) problems.set(key, messageOf(error))
      throw error
    } finally {
      watches.delete(key)
    }
  }

  function forget(isForgotten: (request: string) => boolean): void {
    for (const request of problems.keys()) if (isForgotten(request)) problems.delete(request)
  }

  return {
    kube: {
      ...kube,
      get: (kind, ...rest) => note('get', kind, kube.get(kind, ...rest)),
      list: (kind, ...rest) => note('list', kind, kube.list(kind, ...rest)),
      create: (kind, ...rest) => note('create', kind, kube.create(kind, ...rest)),
      patch: (kind, ...rest) => note('patch', kind, kube.patch(kind, ...rest)),
      replace: (kind, ...rest) => note('replace', kind, kube.replace(kind, ...rest)),
      delete: (kind, ...rest) => note('delete', kind, kube.delete(kind, ...rest)),
      watch,
    },
    problems() {
      for (const [key, begun] of watches) if (performance.now() - begun > WATCH_WORKS_MS) problems.delete(key)
      const found = [...new Set(problems.values())]
      return answered || found.length > 0 ? found : ['the API server has not answered yet']
    },
    forgetProblemsOfLead: () => forget(request => request !== 'get leases' && !request.startsWith('watch ')),
    forgetProblemsOfWatches: () => forget(request => request.startsWith('watch ')),
  }
}

/** Whether the error affects all objects of the kind, not only this one. */
function isProblem(verb: string, error: unknown): boolean {
  if (!(error instanceof ShimError)) return false
  const isForAll = verb === 'list' || verb === 'watch'
  if (error.code === 'ClusterAway') return isForAll || verb === 'get'
  return error.code === 'ClusterRefused' && (isForAll || isMissingRight(error.cause))
}

/** Matches RBAC's message: `User "…" cannot patch resource "pods/status" in API group ""…`. */
function isMissingRight(cause: unknown): boolean {
  return cause instanceof ApiStatus && cause.status === 403 && / cannot \w+ resource /.test(cause.message)
}
