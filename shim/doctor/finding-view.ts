import { styleText } from 'node:util'
import type { NamedFinding } from './run-checks.ts'

const MARKS = { ok: '✓', warning: '!', failed: '✗', skipped: '–' } as const
const COLOURS = { ok: 'green', warning: 'yellow', failed: 'red', skipped: 'dim' } as const

/** Shows one finding a line, and below it the way out; with `json` one object a line. */
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
    // It looks at the stream and at NO_COLOR.
    const mark = styleText(COLOURS[outcome], MARKS[outcome], { stream: output })
    output.write(`${mark} ${check}: ${indent(text)}\n`)
    if ('wayOut' in finding) output.write(`    → ${indent(finding.wayOut)}\n`)
  }
}

function indent(text: string): string {
  return text.trimEnd().replaceAll('\n', '\n    ')
}
