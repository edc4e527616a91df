import type { ErrorCode } from '../../../lib/errors.ts'

/**
 * Matches an error text of nix: a string; strings that follow each other in one line; or a RegExp with bounded repetitions. Patterns
 * for retryable failures match at the start of the text, because names that a flake chooses come later.
 */
export type ErrorPattern = string | readonly string[] | RegExp

/** Runs in linear time. */
export function matchesAny(text: string, patterns: readonly ErrorPattern[]): boolean {
  return patterns.some(pattern => {
    if (typeof pattern === 'string') return text.includes(pattern)
    return pattern instanceof RegExp ? pattern.test(text) : text.split('\n').some(line => hasInOrder(line, pattern))
  })
}

function hasInOrder(line: string, pieces: readonly string[]): boolean {
  let from = 0
  for (const piece of pieces) {
    const at = line.indexOf(piece, from)
    if (at < 0) return false
    from = at + piece.length
  }
  return true
}

/** An error code, and the texts of nix that it stands for. */
export type ErrorClass = readonly [code: ErrorCode, patterns: readonly ErrorPattern[]]

/** Returns the code of the first class with a pattern that matches. */
export function classify(text: string, classes: readonly ErrorClass[]): ErrorCode | undefined {
  return classes.find(([, patterns]) => matchesAny(text, patterns))?.[0]
}

/** Whether a system call failed for something below that path, for lack of permission. */
export function isWriteRefused(text: string, path: string): boolean {
  const [line = ''] = text.split('\n', 1)
  return DOING.test(line) && line.includes(path) && NO_WRITE.test(line)
}

/** `creating directory '/`, `getting status of /`; after a crash, the C++ runtime prints a prefix. */
const DOING = /^(?:what\(\): {1,9}error: )?[a-z]{1,20}ing (?:[a-z]{1,20} ){0,4}['"]?\//
const NO_WRITE = /: (?:Permission denied|Read-only file system)$/

/** The second text comes if nix cannot write either; it suggests an option that users cannot pass. */
export const LOCK_OUTDATED = [
  "requires lock file changes but they're not allowed",
  'cannot write modified lock file of flake',
]

const NO_SPACE: readonly ErrorPattern[] = [
  /^(?:[a-z]{1,20}ing|cannot|unable to) [^\n]{0,4000}: (?:No space left on device|Disk quota exceeded)(?:\n|$)/,
  /^executing SQLite [^\n]{0,4000}database or disk is full/,
]

const DAEMON_AWAY: readonly ErrorPattern[] = [
  /^cannot\s{1,9}connect\s{1,9}to (?:socket|daemon)/,
  /^cannot open connection to remote store/,
  // Nix continues after the first failure if a source may be in its cache (2.8 to 2.34).
  /^opening a connection to remote store '[^'\n]{1,300}' previously failed/,
  /^Nix daemon disconnected/,
  /^unexpected end-of-file/,
  /^(?:reading from|writing to) file(?: [^:\n]{1,300})?: (?:Connection reset|Broken pipe)/,
  /^[a-z]{1,20}ing (?:[a-z]{1,20} ){0,4}['"]\/nix\/(?:store|var)[^'"\n]{0,300}['"]: (?:Permission denied|Read-only file system)/,
]

const NOT_FOUND: readonly ErrorPattern[] = ['HTTP error 404', 'Repository not found', ["repository '", "' not found"]]

/** Answers of private sources to clients without credentials: they hide that the source exists. */
export const CREDENTIALS: readonly ErrorPattern[] = [
  ...NOT_FOUND,
  'could not read Username',
  'Authentication failed',
  'Permission denied (publickey',
  /HTTP error (?:401|403)/,
]

const NETWORK: readonly ErrorPattern[] = [
  /Could(?:n't| not) (?:resolve|connect)|Failed to connect|Connection (?:refused|timed out|reset|closed by)/,
  /[Tt]imed? ?out was reached|Operation (?:too slow|timed out)|Network is unreachable|No route to host/,
  /Temporary failure in name resolution|SSL connect error|(?:HTTP|returned) error:? (?:403|408|425|429|5\d\d)/,
  /[Rr]ate limit|early EOF|remote end hung up/,
]

/** A binary cache has the path, but not all of its references. */
const LACKS_REFERENCE = /^some references of path '[^'\n]{1,300}' could not be realised/

export const NOT_VALID: readonly ErrorPattern[] = [/^path '[^'\n]{1,300}' is not valid/]

const NO_FLAKE: readonly ErrorPattern[] = [
  'does not appear to be a git repository',
  ['Git repository "', '" does not exist'],
  ['tarball "', '" does not exist'],
  "couldn't find remote ref",
  'unknown revision or path',
  'could not read Username',
  /[Cc]annot find (?:flake|Git re)/,
  ["revspec '", "' not found"],
  ["does not contain a '", "flake.nix'"],
  'is not a flake',
  "' is unsupported",
]

/** Nix does not interpret the output of git: the last lines of git tell whether the repository is available. */
export const GIT_FAILED: readonly ErrorPattern[] = [
  "program 'git' failed",
  'Failed to fetch git repository',
  ["resolving Git reference '", "' not found"],
]
export const GIT_ERRORS: readonly ErrorClass[] = [
  ['FlakeNotFound', NOT_FOUND],
  ['FetchFailed', NETWORK],
  ['FlakeNotFound', NO_FLAKE],
  ['FetchFailed', GIT_FAILED],
]

/** Failures of a derivation, also of one that another needs. */
export const DERIVATION_ERRORS: readonly ErrorClass[] = [
  ['BuildTimedOut', [/timed out after \d{1,9} seconds/]],
  [
    'SystemUnsupported',
    ["is required to build '", 'Reason: platform mismatch', 'Reason: required system or feature not available'],
  ],
  [
    'BuilderFailed',
    ['hash mismatch in fixed-output derivation', 'failed to produce output', ["output '", "' is not allowed"]],
  ],
]

/** Matched in this order against the error that ended nix. */
export const NIX_ERRORS: readonly ErrorClass[] = [
  ['DiskFull', NO_SPACE],
  ['NixDaemonAway', DAEMON_AWAY],
  ['EvaluationFailed', LOCK_OUTDATED],
  ...DERIVATION_ERRORS.slice(0, 2),
  ['FlakeNotFound', NOT_FOUND],
  ['FetchFailed', NETWORK],
  [
    'StorePathMissing',
    [
      LACKS_REFERENCE,
      /^path '[^'\n]{1,300}' is required, but there is no substituter that can build it/,
      /^don't know how to build these paths/,
    ],
  ],
  ['FlakeNotFound', NO_FLAKE],
  ['FetchFailed', ["unable to download '"]],
  ...DERIVATION_ERRORS.slice(2),
  ['BuildInterrupted', [/^interrupted by the user/, ...NOT_VALID]],
]

const FETCH_CODES = ['FlakeNotFound', 'FetchFailed']

export const BUILDING_ERRORS = NIX_ERRORS.filter(([code]) => !FETCH_CODES.includes(code))

/** During a build, errors are about derivations. Only these texts of nix mean that a download failed. */
export function isDownloadError(text: string): boolean {
  return /^(?:unable to download|Failed to (?:open archive|fetch)|cannot download)/.test(text)
}
