import { withoutEnd } from '../../../../lib/text/text.ts'

/** Go takes an hour of one digit, and a comma. */
const FORM = /^(\d{4}-\d\d-\d\d)T(\d\d?)(:\d\d:\d\d)(?:[.,](\d+))?(?:Z|([+-](?:[01]\d|2[0-3]):[0-5]\d))$/

/** A time as Go prints it again that has read it from JSON (RFC 3339), or undefined when Go would refuse it. */
export function goTime(text: string): string | undefined {
  const [matched, date, hour = '', rest, digits = '', zone = 'Z'] = FORM.exec(text) ?? []
  const local = `${date}T${hour.padStart(2, '0')}${rest}`
  if (matched === undefined || !isRealDate(local)) return undefined
  const fraction = withoutEnd(digits.slice(0, NANOSECOND_DIGITS), '0')
  return local + (fraction && `.${fraction}`) + (/^[+-]00:00$/.test(zone) ? 'Z' : zone)
}

const NANOSECOND_DIGITS = 9

/** JavaScript reads the 30th of February as the 2nd of March. */
function isRealDate(local: string): boolean {
  const ms = Date.parse(`${local}Z`)
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(local)
}
