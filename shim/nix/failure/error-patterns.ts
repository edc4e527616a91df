import type { ErrorCode } from '../../../lib/errors.ts'

/**
 * Words of nix: a text; pieces that follow each other in one line; or a pattern in which nothing is repeated without a bound. What makes
 * a failure worth another try is looked for where nix begins: names that a flake chooses stand further behind.
 */
export type Clue = string | readonly string[] | RegExp

/** Takes linear time. */
export function hasClue(text: string, clues: readonly Clue[]): boolean {
  return clues.some(clue => {
    if (typeof clue === 'string') return text.includes(clue)
    return clue instanceof RegExp ? clue.test(text) : text.split('\n').some(line => hasInOrder(line, clue))
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

export type Rule = readonly [code: ErrorCode, clues: readonly Clue[]]

/** The code of the first rule that fits. */
export function judge(text: string, rules: readonly Rule[]): ErrorCode | undefined {
  return rules.find(([, clues]) => hasClue(text, clues))?.[0]
}

/** Of a system call that failed at something below that path. */
export function isWriteRefused(text: string, path: string): boolean {
  const [line = ''] = text.split('\n', 1)
  return DOING.test(line) && line.includes(path) && NO_WRITE.test(line)
}

/** `creating directory '/`, `getting status of /`; of a nix that ended itself with what the runtime of C++ puts before it. */
const DOING = /^(?:what\(\): {1,9}error: )?[a-z]{1,20}ing (?:[a-z]{1,20} ){0,4}['"]?\//
const NO_WRITE = /: (?:Permission denied|Read-only file system)$/

/** The second one where nix cannot write, either; it then advises an option that nobody here can give. */
export const LOCK_OUTDATED = [
  "requires lock file changes but they're not allowed",
  'cannot write modified lock file of flake',
]

const NO_SPACE: readonly Clue[] = [
  /^(?:[a-z]{1,20}ing|cannot|unable to) [^\n]{0,4000}: (?:No space left on device|Disk quota exceeded)(?:\n|$)/,
  /^executing SQLite [^\n]{0,4000}database or disk is full/,
]

const DAEMON_AWAY: readonly Clue[] = [
  /^cannot\s{1,9}connect\s{1,9}to (?:socket|daemon)/,
  /^cannot open connection to remote store/,
  // A nix that went on after its first try, as it does when a source may be in its cache (2.8 to 2.34).
  /^opening a connection to remote store '[^'\n]{1,300}' previously failed/,
  /^Nix daemon disconnected/,
  /^unexpected end-of-file/,
  /^(?:reading from|writing to) file(?: [^:\n]{1,300})?: (?:Connection reset|Broken pipe)/,
  /^[a-z]{1,20}ing (?:[a-z]{1,20} ){0,4}['"]\/nix\/(?:store|var)[^'"\n]{0,300}['"]: (?:Permission denied|Read-only file system)/,
]

const GONE: readonly Clue[] = ['HTTP error 404', 'Repository not found', ["repository '", "' not found"]]

/** What a private source answers to those without credentials, in place of its existence. */
export const CREDENTIALS: readonly Clue[] = [
  ...GONE,
  'could not read Username',
  'Authentication failed',
  'Permission denied (publickey',
  /HTTP error (?:401|403)/,
]

const NETWORK: readonly Clue[] = [
  /Could(?:n't| not) (?:resolve|connect)|Failed to connect|Connection (?:refused|timed out|reset|closed by)/,
  /[Tt]imed? ?out was reached|Operation (?:too slow|timed out)|Network is unreachable|No route to host/,
  /Temporary failure in name resolution|SSL connect error|(?:HTTP|returned) error:? (?:403|408|425|429|5\d\d)/,
  /[Rr]ate limit|early EOF|remote end hung up/,
]

/** A binary cache has the path, and not all that it needs. */
const LACKS_REFERENCE = /^some references of path '[^'\n]{1,300}' could not be realised/

export const NOT_VALID: readonly Clue[] = [/^path '[^'\n]{1,300}' is not valid/]

const NO_FLAKE: readonly Clue[] = [
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

/** Nix runs git, and has no words of its own for what that says: its last lines tell whether the repository can be had. */
export const GIT_FAILED: readonly Clue[] = [
  "program 'git' failed",
  'Failed to fetch git repository',
  ["resolving Git reference '", "' not found"],
]
export const GIT_RULES: readonly Rule[] = [
  ['FlakeNotFound', GONE],
  ['FetchFailed', NETWORK],
  ['FlakeNotFound', NO_FLAKE],
  ['FetchFailed', GIT_FAILED],
]

/** Of a derivation that others need. */
export const BUILD_RULES: readonly Rule[] = [
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

/** Held against the error that ended nix, in this order. */
export const RULES: readonly Rule[] = [
  ['DiskFull', NO_SPACE],
  ['NixDaemonAway', DAEMON_AWAY],
  ['EvaluationFailed', LOCK_OUTDATED],
  ...BUILD_RULES.slice(0, 2),
  ['FlakeNotFound', GONE],
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
  ...BUILD_RULES.slice(2),
  ['BuildInterrupted', [/^interrupted by the user/, ...NOT_VALID]],
]

const OF_FETCHES = ['FlakeNotFound', 'FetchFailed']

export const RULES_OF_BUILDS = RULES.filter(([code]) => !OF_FETCHES.includes(code))

/** Where nothing is evaluated, and what nix says is of derivations, only its own words for a download make a failure one. */
export function isOfDownload(text: string): boolean {
  return /^(?:unable to download|Failed to (?:open archive|fetch)|cannot download)/.test(text)
}
