import type { Logger } from 'pino'
import { backOffMs, pause } from '../lib/async/retry.ts'
import { messageOf } from '../lib/errors.ts'
import { isConflict } from './client/api-error.ts'
import type { Kube, ObjectName } from './client/contract.ts'
import { leases, microTime } from './resources/lease.ts'

/** A Lease survives a few lost renewals. */
const RENEWALS_PER_LEASE = 4

export interface HeartbeatOptions {
  readonly kube: Pick<Kube, 'create' | 'patch'>
  readonly lease: ObjectName
  readonly identity: string
  readonly fieldManager: string
  readonly durationMs: number
  readonly signal: AbortSignal
  readonly logger: Logger
}

/**
 * Renews a Lease that has no other holder until the signal aborts. Creates it if it is missing, and retries
 * indefinitely.
 */
export async function heartbeat(options: HeartbeatOptions): Promise<void> {
  const { durationMs, signal, logger } = options
  const betweenMs = durationMs / RENEWALS_PER_LEASE
  let failures = 0
  let lastError = ''
  while (!signal.aborted) {
    try {
      await renew(options)
      if (lastError !== '') logger.info('the lease is renewed again')
      lastError = ''
      failures = 0
    } catch (error) {
      failures += 1
      const message = messageOf(error)
      if (!signal.aborted && message !== lastError) logger.warn({ err: message }, 'cannot renew the lease')
      lastError = message
    }
    await pause(failures === 0 ? betweenMs : backOffMs(failures, betweenMs), signal)
  }
}

async function renew({ kube, lease, identity, fieldManager, durationMs, signal }: HeartbeatOptions): Promise<void> {
  const now = microTime(new Date())
  const spec = { holderIdentity: identity, leaseDurationSeconds: Math.ceil(durationMs / 1000), renewTime: now }
  const options = { signal, timeoutMs: durationMs / RENEWALS_PER_LEASE }
  const patch = { ...options, type: 'merge', fieldManager } as const
  if (await kube.patch(leases, { ...lease, body: { spec } }, patch)) return
  try {
    await kube.create(leases, { ...lease, body: { spec: { ...spec, acquireTime: now } } }, options)
  } catch (error) {
    // A previous process has created it in the meantime.
    if (!isConflict(error)) throw error
    await kube.patch(leases, { ...lease, body: { spec } }, patch)
  }
}
