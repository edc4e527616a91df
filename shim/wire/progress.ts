import { describeMegabytes } from '../../lib/text/units.ts'
import type { PullProgress__Output } from '../../protos/generated/enbi/v1alpha1/PullProgress.ts'

/** As it is on the wire, see `protos/enbi.proto`. */
export type WireProgress = PullProgress__Output

/** Describes the progress of a pull in one line. */
export function describeProgress({ phase, done, expected, text }: WireProgress): string {
  switch (phase) {
    case 'queued':
      return done === 0 ? 'waiting for a build to end' : `waiting, ${done} ahead`
    case 'evaluating':
      return 'evaluating the flake'
    case 'fetching':
      return `fetching ${describeBytes(done, expected)}`
    case 'building':
      return expected === 0 ? `building ${text}`.trimEnd() : `building ${done} of ${expected}${text ? `, ${text}` : ''}`
    case 'waiting':
      return `waiting for ${text}`
    case 'copying':
      return `copying from ${text}, ${describeBytes(done, expected)}`
    case 'built':
      return `built ${text}`
    case 'importing':
      return `importing ${describeBytes(done, expected)}`
    case 'preparing':
      return `${expected === 0 ? 'preparing nodes' : `${done} of ${expected} nodes have it`}${text ? `; ${text}` : ''}`
    case 'unpacking':
      return `unpacking layer ${done} of ${expected}`
    case 'present':
      return 'the image exists already'
    default:
      return phase
  }
}

function describeBytes(done: number, expected: number): string {
  return expected > 0 ? `${describeMegabytes(done)} of ${describeMegabytes(expected)}` : describeMegabytes(done)
}
