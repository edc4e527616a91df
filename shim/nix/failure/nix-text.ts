import { cutLines } from '../../../lib/text/cut.ts'

/** Keeps only what nix itself says in an error: text from others and advice that does not apply here are removed. */
export function trimNixText(text: string): string {
  return withoutAdvice(withoutBody(withoutBuilderLog(unindent(text))))
}

/** Some messages are indented for terminals. */
function unindent(text: string): string {
  return text.replace(/\n {7}/g, '\n')
}

/** Nix repeats the builder's log in its error. */
function withoutBuilderLog(text: string): string {
  const at = text.search(/\n {0,9}[Ll]ast \d{1,9} log lines:\n/)
  return at < 0 ? text : text.slice(0, at)
}

/** Nix repeats the error page of a server. */
function withoutBody(text: string): string {
  const at = text.search(/\n\s{0,20}response body:\s/)
  return at < 0 ? text : text.slice(0, at)
}

/** If nixpkgs refuses a package, only the reason is kept, in one line. */
function withoutAdvice(text: string): string {
  const lines = text.split('\n').map(line => line.trim())
  if (!isRefusal(lines)) return text
  const advice = lines.findIndex(line => ADVICE.some(start => line.startsWith(start)))
  const reason = advice < 0 ? lines : lines.slice(0, advice)
  return cutLines(reason.filter(line => line !== '').join(' '), MAX_REASON_LENGTH)
}

/** In older versions of nixpkgs, a list of systems comes before the end of the sentence. */
function isRefusal(lines: readonly string[]): boolean {
  const [first = ''] = lines
  return (
    REFUSAL.test(first) || (/^Package ['‘]/.test(first) && lines.some(line => line.endsWith(', refusing to evaluate.')))
  )
}

/** For unfree, broken and insecure packages, and those for other systems. Source: pkgs/stdenv/generic/check-meta.nix of nixpkgs. */
const REFUSAL = /^(?:Package ['‘][^\n]{1,1000} refusing to evaluate\.|Refusing to evaluate package ')/

/** Start of the advice, which is long and meant for people who evaluate nixpkgs themselves. */
const ADVICE = ['a) To temporarily allow ', 'You can install it anyway by allowing this package']

/** Longest reason, in characters: it may list all systems that the package supports. */
const MAX_REASON_LENGTH = 600
