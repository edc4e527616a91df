import { TokenBucket } from 'limiter'
import { orCancelled } from '../../lib/async/bounded-wait.ts'
import type { CallOptions, Kube } from './contract.ts'

export interface RequestRate {
  /** Requests per second. */
  readonly qps: number
  /** Requests that may exceed the rate after a pause. */
  readonly burst: number
}

/**
 * The same API server, asked at a limited rate. Requests wait in order, before their own time limits begin. Watches are
 * not counted, as there are few of them.
 */
export function limitRequests(kube: Kube, { qps, burst }: RequestRate): Kube {
  const bucket = new TokenBucket({ bucketSize: burst, tokensPerInterval: qps, interval: 'second' })
  bucket.content = burst

  async function admit({ signal }: CallOptions = {}): Promise<void> {
    const admitted = bucket.removeTokens(1)
    await (signal ? orCancelled(admitted, signal) : admitted)
  }

  return {
    ...kube,
    async get(kind, name, options) {
      await admit(options)
      return kube.get(kind, name, options)
    },
    async list(kind, selection, onItem, options) {
      await admit(options)
      return kube.list(kind, selection, onItem, options)
    },
    async create(kind, object, options) {
      await admit(options)
      return kube.create(kind, object, options)
    },
    async patch(kind, object, options) {
      await admit(options)
      return kube.patch(kind, object, options)
    },
    async replace(kind, object, options) {
      await admit(options)
      return kube.replace(kind, object, options)
    },
    async delete(kind, name, options) {
      await admit(options)
      return kube.delete(kind, name, options)
    },
  }
}
