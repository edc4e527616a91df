/**
 * Whether a version (`1.6.20~ds1`, `2.26.3`, `1.30+`) is older than one such as `1.6`. False if it cannot be parsed.
 */
export function isOlder(version: string, than: string): boolean {
  const [found, wanted] = [numbers(version), numbers(than)]
  const difference = wanted.map((number, index) => (found[index] ?? number) - number).find(value => value !== 0)
  return difference !== undefined && difference < 0
}

function numbers(version: string): number[] {
  return (/^\d+(\.\d+)*/.exec(version)?.[0] ?? '').split('.').filter(Boolean).map(Number)
}
