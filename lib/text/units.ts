const SIZES = [
  ['GB', 1e9],
  ['MB', 1e6],
  ['kB', 1e3],
] as const

/** `3.4 GB`, `120 MB`, `12 B`. */
export function describeSize(bytes: number): string {
  const [unit, size] = SIZES.find(([, size]) => bytes >= size) ?? ['B', 1]
  const value = bytes / size
  return `${unit === 'B' || value >= 100 ? Math.round(value) : value.toFixed(1)} ${unit}`
}

const SPANS = [
  ['d', 86_400, 'h', 3600],
  ['h', 3600, 'min', 60],
  ['min', 60, 's', 1],
] as const

/** `12 s`, `5 min 3 s`, `3 h 12 min`, `4 d 2 h`: whole seconds, and the two largest units. */
export function describeSpan(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  const [large, length, small, rest] = SPANS.find(([, length]) => seconds >= length) ?? []
  if (large === undefined || length === undefined || rest === undefined) return `${seconds} s`
  return `${Math.floor(seconds / length)} ${large} ${Math.floor((seconds % length) / rest)} ${small}`
}

/** `1 rule`, `2 rules`. */
export function describeCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
