import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

test('the page of reports names only tests that exist', async () => {
  const page = await readFile(join(ROOT, 'docs/contributing/reports.md'), 'utf8')
  const rows = page.split('\n').filter(line => line.startsWith('| ') && !line.startsWith('| report '))
  expect(rows.length).toBeGreaterThan(0)
  for (const row of rows) {
    const [, file = '', name = ''] = /\| `(test\/[\w./-]+\.ts)`: ([^|]+) \|$/.exec(row) ?? []
    const text = await readFile(join(ROOT, file), 'utf8')
    expect(text.includes(name), `${file} has no test "${name}"`).toBe(true)
    expect(name).not.toBe('')
  }
})
