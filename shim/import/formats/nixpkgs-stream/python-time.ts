/** A moment as Python's `datetime` has it. */
export interface PythonTime {
  /** As `isoformat` prints it, in its own zone. */
  readonly iso: string
  /** Whole seconds since 1970. */
  readonly seconds: number
}

/** What `date -Iseconds` writes, and the same with milliseconds or microseconds. */
const FORM = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{3}|\d{6}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/

/** As Python's `datetime.fromisoformat` reads it, or undefined for a text that is no time with a zone in the form above. */
export function parsePythonTime(text: string): PythonTime | undefined {
  const [matched, local = '', fraction = '', sign = '+', hours = '00', minutes = '00'] = FORM.exec(text) ?? []
  const localMs = Date.parse(`${local}Z`)
  if (matched === undefined || !isRealDate(local, localMs)) return undefined
  const offset = (Number(hours) * 60 + Number(minutes)) * 60
  const zone = offset === 0 ? '+00:00' : `${sign}${hours}:${minutes}`
  return {
    iso: local + printFraction(fraction) + zone,
    seconds: localMs / 1000 - (sign === '-' ? -offset : offset),
  }
}

/** As Python's `datetime.now(tz=timezone.utc)`, from milliseconds since 1970. */
export function pythonTimeAt(ms: number): PythonTime {
  const [local = '', fraction = ''] = new Date(ms).toISOString().split(/[.Z]/)
  return { iso: `${local}${printFraction(fraction)}+00:00`, seconds: Math.floor(ms / 1000) }
}

/** JavaScript reads the 30th of February as the 2nd of March, and has a year 0. */
function isRealDate(local: string, ms: number): boolean {
  return !Number.isNaN(ms) && !local.startsWith('0000') && new Date(ms).toISOString().startsWith(local)
}

function printFraction(digits: string): string {
  return Number(digits) === 0 ? '' : `.${digits.padEnd(6, '0')}`
}
