import { cleanText } from '../../lib/text/text.ts'
import type { WireProgress } from './progress.ts'

/** In the order of `describeProgress`, which writes these texts. */
const TEXTS: readonly (readonly [phase: string, pattern: RegExp])[] = [
  ['queued', /^waiting for a build to end$/],
  ['queued', /^waiting, (?<done>\d{1,9}) ahead$/],
  ['evaluating', /^evaluating the flake$/],
  ['fetching', /^fetching (?<doneMb>[\d.]{1,15}) MB(?: of (?<expectedMb>[\d.]{1,15}) MB)?$/],
  ['building', /^building (?<done>\d{1,9}) of (?<expected>\d{1,9})(?:, (?<text>.*))?$/],
  ['building', /^building ?(?<text>.*)$/],
  ['waiting', /^waiting for (?<text>.*)$/],
  ['copying', /^copying from (?<text>.*), (?<doneMb>[\d.]{1,15}) MB(?: of (?<expectedMb>[\d.]{1,15}) MB)?$/],
  ['built', /^built (?<text>.*)$/],
  ['importing', /^importing (?<doneMb>[\d.]{1,15}) MB(?: of (?<expectedMb>[\d.]{1,15}) MB)?$/],
  ['unpacking', /^unpacking layer (?<done>\d{1,9}) of (?<expected>\d{1,9})$/],
  ['present', /^the image exists already$/],
]

/**
 * Reads what `describeProgress` has written, as far as it says; a NixBuild has only the text. Other texts are a phase of
 * their own. Nodes choose the text in the status of a NixBuild, so it is cleaned, and becomes one line.
 */
export function readProgress(written: string): WireProgress {
  const progress = cleanText(written).replaceAll('\n', ' ')
  for (const [phase, pattern] of TEXTS) {
    const groups = pattern.exec(progress)?.groups
    if (groups === undefined && !pattern.test(progress)) continue
    const { done, expected, doneMb, expectedMb, text = '' } = groups ?? {}
    return { phase, done: numberOf(done, doneMb), expected: numberOf(expected, expectedMb), text }
  }
  return { phase: progress, done: 0, expected: 0, text: '' }
}

function numberOf(count: string | undefined, megabytes: string | undefined): number {
  return megabytes === undefined ? Number(count ?? 0) : Math.round(Number(megabytes) * 1e6)
}
