import { pods } from '../../controller/views/pod.ts'
import type { Cluster } from './cluster.ts'

export interface ImageBuiltWatch extends AsyncDisposable {
  /** The reasons of the pod's condition ImageBuilt so far, in order and without consecutive duplicates. */
  reasonsOf(pod: string): readonly string[]
}

/** Watches the condition of all pods that are created in the namespace from now on. */
export async function watchImageBuilt(cluster: Cluster, namespace: string): Promise<ImageBuiltWatch> {
  const kube = cluster.client()
  const stop = new AbortController()
  const reasons = new Map<string, string[]>()
  const see = ({ name, condition }: ReturnType<typeof pods.parse>) => {
    const seen = reasons.get(name) ?? []
    reasons.set(name, seen)
    if (condition?.reason !== undefined && seen.at(-1) !== condition.reason) seen.push(condition.reason)
  }
  const resourceVersion = await kube.list(pods, { namespace }, () => {})
  const watching = (async () => {
    for await (const event of kube.watch(pods, { namespace, resourceVersion, signal: stop.signal }))
      if (event.type !== 'BOOKMARK') see(pods.parse(event.object))
  })()
  return {
    reasonsOf: pod => reasons.get(pod) ?? [],
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.allSettled([watching])
    },
  }
}
