import * as v from 'valibot'

export const resultSchema = v.object({
  name: v.string(),
  value: v.number(),
  unit: v.string(),
  /** `<= 2.5`: what the value should be. */
  aim: v.string(),
})

/** One figure of the README. */
export type Result = v.InferOutput<typeof resultSchema>

export function meetsAim({ value, aim }: Result): boolean {
  const [comparison, limit] = aim.split(' ')
  const bound = Number(limit)
  switch (comparison) {
    case '<=':
      return value <= bound
    case '<':
      return value < bound
    case '>=':
      return value >= bound
    case '=':
      return value === bound
    default:
      throw new Error(`no comparison: ${aim}`)
  }
}

/** A Markdown table. */
export function formatTable(results: readonly Result[]): string {
  const rows = results.map(result => {
    const { name, value, unit, aim } = result
    return `| \`${name}\` | ${round(value)} ${unit} | ${aim} | ${meetsAim(result) ? 'yes' : '**no**'} |`
  })
  return ['| name | value | aim | met |', '|---|---|---|---|', ...rows].join('\n').replaceAll('  |', ' |')
}

export function round(value: number): number {
  return Number(value.toPrecision(3))
}
