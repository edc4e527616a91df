import { ApiStatus } from '../kube/client/api-error.ts'
import type { Kind, Kube } from '../kube/client/contract.ts'
import { messageOf, ShimError } from '../lib/errors.ts'

/** A watch that has held for so long works, though it had nothing to tell, in milliseconds. */
const WATCH_WORKS_MS = 1_000

/** What stands in the controller's way, as far as the API server's answers tell. */
export interface Health {
  /** The same API server; its answers are taken note of. */
  readonly kube: Kube
  /** For a person, each once: rights that are missing, a kind that the API server does not know, an API server that is away or has not been heard of yet. */
  troubles(): string[]
  /** Troubles of who led and leads no more: it does nothing by which they could end. */
  forgetLeading(): void
}

export function createHealth(kube: Kube): Health {
  const troubles = new Map<string, string>()
  const watches = new Map<string, number>()
  let answered = false

  async function note<T>(verb: string, kind: Kind<unknown>, answer: Promise<T>): Promise<T> {
    const key = `${verb} ${kind.plural}`
    try {
      const value = await answer
      troubles.delete(key)
      answered = true
      return value
    } catch (error) {
      if (isTrouble(verb, error)) troubles.set(key, messageOf(error))
      throw error
    }
  }

  async function* watch(kind: Kind<unknown>, call: Parameters<Kube['watch']>[1]): ReturnType<Kube['watch']> {
    const key = `watch ${kind.plural}`
    watches.set(key, performance.now())
    try {
      for await (const event of kube.watch(kind, call)) {
        troubles.delete(key)
        yield event
      }
    } catch (error) {
      if (isTrouble('watch', error)) troubles.set(key, messageOf(error))
      throw error
    } finally {
      watches.delete(key)
    }
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
    troubles() {
      for (const [key, begun] of watches) if (performance.now() - begun > WATCH_WORKS_MS) troubles.delete(key)
      const found = [...new Set(troubles.values())]
      return answered || found.length > 0 ? found : ['the API server has not answered yet']
    },
    forgetLeading() {
      // To lead again it asks for the Lease, and nothing else.
      for (const key of troubles.keys()) if (!key.startsWith('get ')) troubles.delete(key)
    },
  }
}

/** Whether everything of that kind must fail, not just this one object. */
function isTrouble(verb: string, error: unknown): boolean {
  if (!(error instanceof ShimError)) return false
  const isForAll = verb === 'list' || verb === 'watch'
  if (error.code === 'ClusterAway') return isForAll || verb === 'get'
  return error.code === 'ClusterRefused' && (isForAll || isMissingRight(error.cause))
}

/** As RBAC says it: `User "…" cannot patch resource "pods/status" in API group ""…`. */
function isMissingRight(cause: unknown): boolean {
  return cause instanceof ApiStatus && cause.status === 403 && / cannot \w+ resource /.test(cause.message)
}
