import { InvalidArgumentError } from 'commander'
import ms from 'ms'
import { type LabelMatcher, labelMatcher, parseLabelSelector } from '../kube/resources/label-selector.ts'
import { messageOf } from '../lib/errors.ts'
import { type ListenAddress, parseListenAddress } from '../lib/http/listen-address.ts'
import { parseDuration } from '../lib/text/units.ts'
import { parseToleration, type Toleration } from './views/taint.ts'

/** The parsed flags of enbi-controller. Durations are in milliseconds. */
export interface ControllerOptions {
  /** Path of a kubeconfig. Undefined: the API server of the cluster that this pod runs in. */
  readonly kubeconfig: string | undefined
  readonly nodeRepel: LabelMatcher
  readonly tolerate: readonly Toleration[]
  readonly keepFinished: number
  readonly keepFinishedFor: number
  readonly unwantedGrace: number
  readonly lostGrace: number
  readonly builderGrace: number
  readonly maxTries: number
  /** NixBuilds of one namespace that are assigned to nodes at the same time. */
  readonly maxAssigned: number
  readonly podConditions: boolean
  readonly listen: ListenAddress
  /** Additional address that serves only health. */
  readonly healthListen: ListenAddress | undefined
  readonly leaderElectLease: number
  readonly leaderElectRenew: number
  readonly leaderElectRetry: number
  /** Requests per second to the API server. */
  readonly kubeApiQps: number
  readonly kubeApiBurst: number
  readonly logLevel: string
}

/** Parsers of flag values. Each throws commander's InvalidArgumentError. */

export function readDuration(text: string): number {
  const value = parseDuration(text)
  if (value === undefined) throw new InvalidArgumentError('expected a duration such as 30s, 5m or 1h, at most 24 days')
  return value
}

/** Ages may be longer than a timer allows. */
export function readAge(text: string): number {
  const value = /^\d+(\.\d+)?(ms|s|m|h|d|w|y)$/.test(text) ? ms(text as ms.StringValue) : 0
  if (value > 0) return value
  throw new InvalidArgumentError('expected an age such as 24h, 30d or 1y')
}

export function readCount(least: number, most: number): (text: string) => number {
  return text => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}`)
  }
}

export function readBoolean(text: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true'
  throw new InvalidArgumentError('expected true or false')
}

export function readSelector(text: string): LabelMatcher {
  try {
    return labelMatcher(parseLabelSelector(text))
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error))
  }
}

/** The flag can be repeated. */
export function addToleration(text: string, earlier: readonly Toleration[]): readonly Toleration[] {
  try {
    return [...earlier, parseToleration(text)]
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error))
  }
}

export function readListenAddress(text: string): ListenAddress {
  const address = parseListenAddress(text)
  if (address) return address
  throw new InvalidArgumentError('expected HOST:PORT, as in 127.0.0.1:9470')
}
