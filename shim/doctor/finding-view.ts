import { styleText } from 'node:util'
import type { NamedFinding } from './run-checks.ts'

const MARKS = { ok: '✓', warning: '!', failed: '✗', skipped: '–' } as const
const COLORS = { ok: 'green', warning: 'yellow', failed: 'red', skipped: 'dim' } as const

/** Prints one line for each finding, and what to do below it; with `json`, one object for each line. */
export function createFindingView({
  json,
  output,
}: {
  json: boolean
  output: NodeJS.WriteStream
}): (finding: NamedFinding) => void {
  if (json) return finding => void output.write(`${JSON.stringify(finding)}\n`)
  return finding => {
    const { check, outcome, text } = finding
    // `styleText` takes the stream and NO_COLOR into account.
    const mark = styleText(COLORS[outcome], MARKS[outcome], { stream: output })
    output.write(`${mark} ${check}: ${indent(text)}\n`)
    if ('wayOut' in finding) output.write(`    → ${indent(finding.wayOut)}\n`)
  }
}

function indent(text: string): string {
  return text.trimEnd().replaceAll('\n', '\n    ')
}
