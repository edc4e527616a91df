import type { Logger } from 'pino'
import { pause } from '../lib/async/retry.ts'
import { messageOf } from '../lib/errors.ts'
import { isConflict } from './client/api-error.ts'
import type { Kube, ObjectName } from './client/contract.ts'
import { type Lease, leases, microTime } from './resources/lease.ts'

/** A Lease as observed by a candidate. */
export interface LeaseObservation {
  readonly lease: Lease
  /**
   * When this version of the Lease was first observed, in milliseconds of this process's clock. Clocks of other
   * machines are not compared.
   */
  readonly observedAt: number
}

/** One time of leading. */
export interface Lead {
  /** Aborts when the lead is lost. */
  readonly signal: AbortSignal
  /** Compares the clock, as the timer that aborts the signal may be late. If the lead is lost, it aborts the signal. */
  isHeld(): boolean
}

export interface LeaderElectionOptions {
  readonly kube: Pick<Kube, 'get' | 'create' | 'replace'>
  readonly lease: ObjectName
  /** Must be unique among running processes. */
  readonly identity: string
  /** The leader's work. It must end soon after the lead's signal aborts. If it ends by itself, the election fails. */
  readonly work: (lead: Lead) => Promise<void>
  /**
   * Called when another process leads, or may have led since this one did. It is not called if this process loses the
   * lead only because it cannot reach the API server, and then gets the Lease back.
   */
  readonly onOther?: () => void
  readonly signal: AbortSignal
  readonly logger: Logger
  /** How long others wait for a leader that does not renew the Lease, in milliseconds. */
  readonly leaseMs?: number
  /** A leader that could not renew the Lease for this long stops. Must be less than `leaseMs`. */
  readonly renewWithinMs?: number
  /** Time between two attempts to get or renew the Lease. */
  readonly retryMs?: number
}

/**
 * Waits for the Lease, leads while it holds it, and starts over, until the signal aborts. It then releases the Lease.
 */
export async function leaderElection(options: LeaderElectionOptions): Promise<void> {
  const { leaseMs = 15_000, renewWithinMs = 10_000, retryMs = 2_000, onOther = () => {}, ...rest } = options
  const election = { ...rest, leaseMs, renewWithinMs, retryMs, onOther }
  while (!options.signal.aborted) {
    const acquired = await acquire(election)
    if (acquired) await lead(election, acquired)
  }
}

type Election = Required<LeaderElectionOptions>

/** The Lease as this process has written it. */
interface OwnLease {
  readonly lease: Lease
  /** When the request was sent, by performance.now(). */
  readonly renewedAt: number
}

/** Undefined once the signal aborts. */
async function acquire(election: Election): Promise<OwnLease | undefined> {
  const { signal, identity, retryMs, renewWithinMs, logger, onOther } = election
  /** A leader cannot renew either while the API server is away. It should get its Lease back, as it has read everything. */
  const longestGapMs = renewWithinMs + 2 * retryMs
  let observation: LeaseObservation | undefined
  let readAt = 0
  let lastHolder = ''
  while (!signal.aborted) {
    try {
      const lease = await election.kube.get(leases, election.lease, { signal, timeoutMs: retryMs })
      const now = performance.now()
      const holder = lease?.spec.holderIdentity ?? ''
      if (holder !== identity) onOther()
      if (!lease) return { lease: await createLease(election), renewedAt: now }
      observation = observeLease(now - readAt > longestGapMs ? undefined : observation, lease, now)
      readAt = now
      if (timeUntilFree(observation, identity, now) === 0)
        return { lease: await takeLease(election, lease), renewedAt: now }
      if (holder !== lastHolder) logger.info({ holder }, 'another replica leads')
      lastHolder = holder
    } catch (error) {
      if (!signal.aborted && !isConflict(error)) logger.warn({ err: messageOf(error) }, 'cannot get the lease')
    }
    // The jitter keeps candidates from asking at the same time.
    await pause(retryMs * (1 + Math.random() * 0.2), signal)
  }
  return undefined
}

async function lead(election: Election, acquired: OwnLease): Promise<void> {
  const { logger, identity, work } = election
  const leading = new AbortController()
  const stop = () => leading.abort()
  election.signal.addEventListener('abort', stop, { once: true })
  if (election.signal.aborted) stop()
  logger.info({ identity }, 'leading')
  const renewal = startRenewing(election, acquired, leading)
  try {
    await work({ signal: leading.signal, isHeld: renewal.isHeld })
    if (!leading.signal.aborted) throw new Error('the work of the leader has ended unexpectedly')
  } finally {
    stop()
    election.signal.removeEventListener('abort', stop)
    const last = await renewal.ended
    if (last) await release(election, last)
    logger.info({ identity }, 'stopped leading')
  }
}

interface Renewal {
  isHeld(): boolean
  /** Resolves once leading has ended, with the Lease as last written. Undefined if the Lease was lost. */
  readonly ended: Promise<Lease | undefined>
}

function startRenewing(election: Election, acquired: OwnLease, leading: AbortController): Renewal {
  const { renewWithinMs, retryMs, logger } = election
  let { lease, renewedAt } = acquired
  let isLost = false
  const msLeft = () => renewedAt + renewWithinMs - performance.now()

  function lose(error: unknown): void {
    isLost = true
    leading.abort(error)
  }

  function isHeld(): boolean {
    if (!leading.signal.aborted && msLeft() <= 0) lose(new Error('the lease could not be renewed in time'))
    return !leading.signal.aborted
  }

  async function run(): Promise<Lease | undefined> {
    while (true) {
      await pause(Math.min(retryMs, Math.max(0, msLeft())), leading.signal)
      if (!isHeld()) return isLost ? undefined : lease
      try {
        const begin = performance.now()
        lease = await renew(election, lease, Math.min(msLeft(), retryMs * 2))
        renewedAt = begin
      } catch (error) {
        logger.warn({ err: messageOf(error) }, 'cannot renew the lease')
        if (error instanceof LostLease) lose(error)
      }
    }
  }

  return { isHeld, ended: run() }
}

class LostLease extends Error {}

async function renew(election: Election, lease: Lease, timeoutMs: number): Promise<Lease> {
  try {
    return await write(election, lease, { ...held(election), leaseTransitions: lease.spec.leaseTransitions }, timeoutMs)
  } catch (error) {
    if (!isConflict(error)) throw error
    // The conflict may be our own renewal, whose answer was lost.
    const current = await election.kube.get(leases, election.lease, { timeoutMs })
    if (current?.spec.holderIdentity !== election.identity)
      throw new LostLease('another replica has it', { cause: error })
    return write(election, current, { ...held(election), leaseTransitions: current.spec.leaseTransitions }, timeoutMs)
  }
}

function createLease(election: Election): Promise<Lease> {
  const { kube, lease, signal, retryMs } = election
  const spec = { ...held(election), acquireTime: microTime(new Date()), leaseTransitions: 0 }
  return kube.create(leases, { ...lease, body: { spec } }, { signal, timeoutMs: retryMs })
}

function takeLease(election: Election, lease: Lease): Promise<Lease> {
  const leaseTransitions = lease.spec.leaseTransitions + 1
  const spec = { ...held(election), acquireTime: microTime(new Date()), leaseTransitions }
  return write(election, lease, spec, election.retryMs)
}

/** Lets the next leader start without waiting. Best effort, as the Lease also expires. */
async function release(election: Election, lease: Lease): Promise<void> {
  const spec = { ...held(election), holderIdentity: '', leaseDurationSeconds: 1 }
  await write(election, lease, { ...spec, leaseTransitions: lease.spec.leaseTransitions }, election.retryMs).catch(
    error => election.logger.debug({ err: messageOf(error) }, 'cannot release the lease'),
  )
}

function held({ identity, leaseMs }: Election) {
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.ceil(leaseMs / 1000),
    renewTime: microTime(new Date()),
  }
}

function write(election: Election, lease: Lease, spec: object, timeoutMs: number): Promise<Lease> {
  const { resourceVersion } = lease.metadata
  const acquireTime = lease.spec.acquireTime ?? undefined
  const body = { metadata: { resourceVersion }, spec: { acquireTime, ...spec } }
  return election.kube.replace(leases, { ...election.lease, body }, { timeoutMs })
}

/** The observation after reading the Lease again. */
export function observeLease(before: LeaseObservation | undefined, lease: Lease, now: number): LeaseObservation {
  const isSame = before?.lease.metadata.resourceVersion === lease.metadata.resourceVersion
  return before !== undefined && isSame ? before : { lease, observedAt: now }
}

/** Milliseconds until `identity` may take the Lease; 0 if it may take it now. */
export function timeUntilFree(
  { lease: { spec }, observedAt }: LeaseObservation,
  identity: string,
  now: number,
): number {
  if (!spec.holderIdentity || spec.holderIdentity === identity) return 0
  return Math.max(0, observedAt + spec.leaseDurationSeconds * 1000 - now)
}
