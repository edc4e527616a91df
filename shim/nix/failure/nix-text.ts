import { cutLines } from '../../../lib/text/cut.ts'

/** What nix itself says in an error: without what others wrote into it, and without advice that is of no use here. */
export function trimNixText(text: string): string {
  return withoutAdvice(withoutBody(withoutBuilderLog(unindent(text))))
}

/** Some messages come with the indent of a terminal. */
function unindent(text: string): string {
  return text.replace(/\n {7}/g, '\n')
}

/** The log that nix repeats in its error is a builder's word, not nix's. */
function withoutBuilderLog(text: string): string {
  const at = text.search(/\n {0,9}[Ll]ast \d{1,9} log lines:\n/)
  return at < 0 ? text : text.slice(0, at)
}

/** What a server wrote into its error page is no word of nix's. */
function withoutBody(text: string): string {
  const at = text.search(/\n\s{0,20}response body:\s/)
  return at < 0 ? text : text.slice(0, at)
}

/** An error of nix; of a package that nixpkgs refuses, only the reason, without line breaks. */
function withoutAdvice(text: string): string {
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

/** Of unfree, broken, insecure packages, and of those for other systems. Source: nixpkgs' pkgs/stdenv/generic/check-meta.nix. */
const REFUSAL = /^(?:Package ['‘][^\n]{1,1000} refusing to evaluate\.|Refusing to evaluate package ')/

/** What to do about it: on a page or two, and for people who evaluate nixpkgs themselves. */
const ADVICE = ['a) To temporarily allow ', 'You can install it anyway by allowing this package']

/** Longest reason, in characters: it may list all systems that the package is for. */
const MAX_REASON_LENGTH = 600
