import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const DECISIONS = join(import.meta.dirname, '../../docs/contributing/decisions')
const MOST_LINES = 100
const NAMES = (await readdir(DECISIONS)).filter(name => name !== 'README.md').toSorted()

describe('the decision records', () => {
  it('are numbered without a gap', () => {
    const numbers = NAMES.map(name => Number(name.slice(0, 4)))
    expect(numbers).toEqual(NAMES.map((_name, at) => at + 1))
  })

  it.each(NAMES)('include %s with title, date, status and decision, on one page and in the index', async name => {
    const text = await readFile(join(DECISIONS, name), 'utf8')
    const [, number, title] = /^# (\d{4}): (.+)\n\n- Date: \d{4}-\d\d-\d\d.*\n- Status: \S/.exec(text) ?? []
    expect(name.startsWith(`${number}-`), 'number and file name differ').toBe(true)
    expect(text).toContain('\n## Decision\n')
    expect(text.split('\n').length).toBeLessThanOrEqual(MOST_LINES)
    expect(await readFile(join(DECISIONS, 'README.md'), 'utf8')).toContain(`| [${number}](${name}) | ${title} |`)
  })
})
