import { crictlSection } from './crictl/crictl-section.ts'
import { runCrictl } from './crictl/run-crictl.ts'
import { critestSection, failuresSection } from './critest/critest-section.ts'
import { runCritest } from './critest/run-critest.ts'
import { describeVersions } from './describe-versions.ts'
import { writePage } from './page.ts'
import { alertsSection, queriesSection, scrapeSection } from './prometheus/prometheus-sections.ts'
import { runPrometheus } from './prometheus/run-prometheus.ts'
import { checkRules, testAlerts } from './prometheus/test-rules.ts'
import { type Findings, readResults, writeResults } from './results.ts'
import { runVersions } from './versions/run-versions.ts'
import { versionsSection } from './versions/versions-section.ts'

/** Each part of the run, and the sections of the page that it fills. */
const PARTS: Readonly<Record<string, () => Promise<Readonly<Record<string, Findings>>>>> = {
  critest: async () => {
    const outcomes = await runCritest()
    return { critest: critestSection(outcomes), failures: failuresSection(outcomes) }
  },
  crictl: async () => ({ crictl: crictlSection(await runCrictl()) }),
  prometheus: async () => {
    const rules = await checkRules()
    const alerts = alertsSection(rules, await testAlerts())
    const findings = await runPrometheus()
    return { alerts, scrape: scrapeSection(findings), queries: queriesSection(findings) }
  },
  versions: async () => ({ versions: versionsSection(await runVersions()) }),
}

const wanted = process.argv.slice(2)
for (const name of wanted)
  if (!Object.hasOwn(PARTS, name)) throw new Error(`no part ${name}: there are ${Object.keys(PARTS).join(', ')}`)
const versions = await describeVersions()
for (const [name, run] of Object.entries(PARTS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  process.stderr.write(`${name} …\n`)
  for (const [section, findings] of Object.entries(await run())) {
    const date = new Date().toISOString().slice(0, 10)
    const results = { ...(await readResults()), [section]: { date, versions, ...findings } }
    await writeResults(results)
    await writePage(results)
    for (const problem of findings.problems) process.stderr.write(`${section}: ${problem}\n`)
    if (findings.problems.length > 0) process.exitCode = 1
  }
}
