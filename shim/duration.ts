import ms from 'ms'

/** Milliseconds in a duration as people write it, `90s`, `5m`, `1h`; undefined when it is none, or not above zero. */
export function parseDuration(text: string): number | undefined {
  if (!/^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text)) return undefined
  const value = ms(text as ms.StringValue)
  return value > 0 ? value : undefined
}
