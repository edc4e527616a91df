import { cutLines } from '../../../lib/text/cut.ts'

/** Of unfree, broken, insecure packages, and of those for other systems. Source: nixpkgs' pkgs/stdenv/generic/check-meta.nix. */
const REFUSAL = /^(?:Package ['‘][^\n]{1,1000} refusing to evaluate\.|Refusing to evaluate package ')/

/** What to do about it: on a page or two, and for people who evaluate nixpkgs themselves. */
const ADVICE = ['a) To temporarily allow ', 'You can install it anyway by allowing this package']

/** Longest reason, in characters: it may list all systems that the package is for. */
const MAX_REASON_LENGTH = 600

/** An error of nix; of a package that nixpkgs refuses, only the reason, without line breaks. */
export function withoutAdvice(text: string): string {
  const lines = text.split('\n').map(line => line.trim())
  if (!isRefusal(lines)) return text
  const advice = lines.findIndex(line => ADVICE.some(start => line.startsWith(start)))
  const reason = advice < 0 ? lines : lines.slice(0, advice)
  return cutLines(reason.filter(line => line !== '').join(' '), MAX_REASON_LENGTH)
}

/** Older ones end the sentence behind the list of systems. */
function isRefusal(lines: readonly string[]): boolean {
  const [first = ''] = lines
  return (
    REFUSAL.test(first) || (/^Package ['‘]/.test(first) && lines.some(line => line.endsWith(', refusing to evaluate.')))
  )
}
