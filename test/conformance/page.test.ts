import { describe, expect, it } from 'vitest'
import { fillSections, readPage } from '../../conformance/page.ts'
import { ALERT_CASES } from '../../conformance/prometheus/alert-cases.ts'
import { readAlertNames } from '../../conformance/prometheus/monitoring-files.ts'
import { readResults } from '../../conformance/results.ts'

describe('the page of conformance', () => {
  it('has the results of conformance/results.json (npm run conformance writes them)', async () => {
    const page = await readPage()
    expect(fillSections(page, await readResults())).toBe(page)
  })

  it('has a section for each result', async () => {
    const sections = [...(await readPage()).matchAll(/<!-- conformance (\w+) -->/g)].map(([, name]) => name)
    expect(sections.toSorted()).toEqual(Object.keys(await readResults()).toSorted())
  })

  it('says what is not as promised, and when that was found', () => {
    const section = {
      date: '2026-01-02',
      versions: 'Nix 2.8.0',
      columns: ['a'],
      rows: [['x|y']],
      problems: ['a fails'],
    }
    const start = '<!-- conformance one -->\n'
    expect(fillSections(`${start}<!-- /conformance -->`, { one: section })).toBe(
      `${start}| a |\n| --- |\n| x\\|y |\n\n- **Not as promised**: a fails\n\n2026-01-02, Nix 2.8.0\n<!-- /conformance -->`,
    )
  })
})

it('each alert has series with which it fires and is silent', async () => {
  expect(Object.keys(ALERT_CASES)).toEqual(await readAlertNames())
})
