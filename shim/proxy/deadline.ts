import { type Incoming, single } from './incoming.ts'

/** When the caller's deadline passes, by `performance.now()`; undefined if it has none. */
export function deadlineOf({ headers, receivedAt }: Incoming): number | undefined {
  const timeout = parseTimeout(single(headers['grpc-timeout']))
  return timeout === undefined ? undefined : receivedAt + timeout
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }
/** The wire allows eight digits. */
const MAX_DIGITS_VALUE = 99_999_999

/** Milliseconds of a `grpc-timeout` value (`120000m`, `2H`); undefined if it is malformed or missing. */
export function parseTimeout(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d{1,8}[HMSmun]$/.test(value)) return undefined
  const unit = UNIT_MS[value.slice(-1)]
  return unit === undefined ? undefined : Number(value.slice(0, -1)) * unit
}

/** A `grpc-timeout` value that is no longer than `ms`, in the finest unit that holds it. */
export function formatTimeout(ms: number): string {
  for (const unit of ['u', 'm', 'S', 'M'] as const) {
    const count = Math.floor(ms / (UNIT_MS[unit] ?? 1))
    if (count <= MAX_DIGITS_VALUE) return `${Math.max(count, 0)}${unit}`
  }
  return `${Math.min(Math.floor(ms / 3_600_000), MAX_DIGITS_VALUE)}H`
}
