import type { WireProgress } from '../wire/pulls.ts'

/** Describes the progress of a pull in one line. */
export function describeProgress({ phase, done, expected, text }: WireProgress): string {
  switch (phase) {
    case 'queued':
      return done === 0 ? 'waiting for a build to end' : `waiting, ${done} ahead`
    case 'evaluating':
      return 'evaluating the flake'
    case 'fetching':
      return `fetching ${amount(done, expected, describeBytes)}`
    case 'building':
      return expected === 0 ? `building ${text}`.trimEnd() : `building ${done} of ${expected}${text ? `, ${text}` : ''}`
    case 'built':
      return `built ${text}`
    case 'importing':
      return `importing ${amount(done, expected, describeBytes)}`
    case 'unpacking':
      return `unpacking layer ${done} of ${expected}`
    case 'present':
      return 'the image exists already'
    default:
      return phase
  }
}

/** For example `3.4 s` or `850 ms`. */
export function describeDuration(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`
}

function amount(done: number, expected: number, format: (bytes: number) => string): string {
  return expected > 0 ? `${format(done)} of ${format(expected)}` : format(done)
}

/** For example `3.4 MB`. */
export function describeBytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
