import type { Kube } from '../kube/client/contract.ts'

/** The same API server for as long as the signal has not aborted: who leads no more must not have the last word. */
export function within(kube: Kube, signal: AbortSignal): Kube {
  return {
    ...kube,
    get: (kind, name, options) => kube.get(kind, name, { signal, ...options }),
    list: (kind, selection, onItem, options) => kube.list(kind, selection, onItem, { signal, ...options }),
    create: (kind, object, options) => kube.create(kind, object, { signal, ...options }),
    patch: (kind, object, options) => kube.patch(kind, object, { signal, ...options }),
    replace: (kind, object, options) => kube.replace(kind, object, { signal, ...options }),
    delete: (kind, name, options) => kube.delete(kind, name, { signal, ...options }),
  }
}
