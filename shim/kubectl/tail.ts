import type { NixBuild } from '../../kube/resources/nixbuild.ts'
import { cleanText } from '../../lib/text/text.ts'

/** Returns the lines of `logTail` that the one before did not have. `…` stands for lines that came and went between. */
export type TailReader = (status: Pick<NixBuild['status'], 'logTail' | 'buildJobName'>) => readonly string[]

export function createTailReader(): TailReader {
  let before: readonly string[] = []
  let run: string | undefined
  return ({ logTail, buildJobName }) => {
    if (buildJobName !== run) before = []
    run = buildJobName
    if (logTail === undefined) return []
    const lines = cleanText(logTail).split('\n')
    const fresh = newLines(before, lines)
    before = lines
    return fresh
  }
}

/** The end of the old lines is somewhere in the new ones: the longest such overlap counts. */
function newLines(before: readonly string[], lines: readonly string[]): readonly string[] {
  if (before.length === 0) return lines
  for (let length = Math.min(before.length, lines.length); length > 0; length -= 1) {
    const isSame = lines.slice(0, length).every((line, index) => line === before[before.length - length + index])
    if (isSame) return lines.slice(length)
  }
  return ['…', ...lines]
}
