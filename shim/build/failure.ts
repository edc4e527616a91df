import { type ErrorCode, reviveError, type ShimError } from '../errors.ts'
import { derivationName } from './nix-log.ts'
import type { NixExit } from './nix-process.ts'
import { describeMaking, describeRecipe, type Recipe } from './recipe.ts'
import { shorten } from './text.ts'

/** A run of nix that did not end well, and all that is known of it. */
export interface FailedRun {
  readonly recipe: Recipe
  readonly runId: string
  readonly stateDir: string
  readonly stage: 'evaluating' | 'building'
  readonly exit: Pick<NixExit, 'exitCode' | 'killedBy'>
  readonly errors: readonly string[]
  readonly foreign: readonly string[]
  builderTail(derivation?: string): readonly string[]
}

/** Longest piece of nix's or a builder's words in a message, in characters. */
const MAX_TEXT_LENGTH = 4096

/** Says what went wrong and whether another try may help. The code is one of the catalogue's build codes. */
export function explainFailure(run: FailedRun): ShimError {
  const builder = findFailedBuilder(run.errors)
  if (builder !== undefined) return explainBuilder(run, builder)
  return explainNix(run, `${subject(run)} failed`, judgeExit(run))
}

/** The same of a nix that was only asked about store paths. */
export function explainFailedQuery(query: FailedQuery): ShimError {
  return explainNix(query, 'asking Nix about store paths failed', 'BuildInterrupted')
}

export type FailedQuery = Pick<FailedRun, 'stateDir' | 'exit' | 'errors' | 'foreign'>

interface FailedBuilder {
  /** Name of its derivation. */
  readonly derivation: string
  /** `with exit code 3`, `due to signal 9 (Killed)` */
  readonly how: string
}

/** As Nix before 2.30 or so says it, and after. */
const BUILDER_FAILED = [
  /builder for '([^']+)' failed ([^;\n]+)/,
  /Cannot build '([^']+)'\.\nReason: builder failed ([^\n]+?)\.?(?:\n|$)/,
]

function findFailedBuilder(errors: readonly string[]): FailedBuilder | undefined {
  for (const text of errors.map(unindent)) {
    for (const pattern of BUILDER_FAILED) {
      const [, path, how] = pattern.exec(text) ?? []
      if (path !== undefined && how !== undefined) return { derivation: derivationName(path), how }
    }
  }
  return undefined
}

/** Who is killed from outside, for want of memory or at a shutdown, is not at fault. */
const KILLED = /due to signal (?:9|15)\b|with exit code (?:137|143)\b/

function explainBuilder(run: FailedRun, { derivation, how }: FailedBuilder): ShimError {
  const tail = run.builderTail(derivation)
  const log = tail.join('\n')
  const code = KILLED.test(how)
    ? 'BuildInterrupted'
    : NO_SPACE.test(log)
      ? 'DiskFull'
      : DOWNLOAD_FAILED.test(log)
        ? 'FetchFailed'
        : 'BuilderFailed'
  const words = tail.length === 0 ? ' It wrote no log.' : ` The end of its log:\n${shorten(log, MAX_TEXT_LENGTH)}`
  const message = `building ${describeRecipe(run.recipe)} failed: the builder of ${derivation} failed ${how}.${words}\n(the whole log: ${run.runId}.log on the node)`
  return reviveError(code, message)
}

const NO_SPACE = /No space left on device|Disk quota exceeded|database or disk is full/i
const NETWORK =
  /Could(?:n't| not) (?:resolve|connect)|Failed to connect|Connection (?:refused|timed out|reset|closed by)|[Tt]imed? ?out was reached|Operation (?:too slow|timed out)|Network is unreachable|No route to host|Temporary failure in name resolution|SSL connect error|(?:HTTP|returned) error:? (?:403|408|425|429|5\d\d)|[Rr]ate limit|early EOF|remote end hung up/
/** What fetchers of nixpkgs and of nix itself write. */
const DOWNLOAD_FAILED =
  /unable to download '|^curl: \((?:5|6|7|18|28|35|52|56|92)\)|cannot download .* from any mirror/m

/** The second one where nix cannot write, either; it then advises an option that nobody here can give. */
const LOCK_OUTDATED = /requires lock file changes but they're not allowed|cannot write modified lock file of flake/

/** Held against nix's own words, in this order; the first that fits counts. */
const RULES: readonly (readonly [ErrorCode, RegExp])[] = [
  ['DiskFull', NO_SPACE],
  [
    'NixDaemonAway',
    /cannot\s+connect\s+to (?:socket|daemon)|cannot open connection to remote store|Nix daemon disconnected|unexpected end-of-file|(?:reading from|writing to) file: (?:Connection reset|Broken pipe)|\/nix\/(?:store|var)\S*'[^\n]*(?:Permission denied|Read-only file system)/,
  ],
  ['EvaluationFailed', LOCK_OUTDATED],
  ['BuildTimedOut', /timed out after \d+ seconds/],
  [
    'SystemUnsupported',
    /is required to build '|Reason: platform mismatch|Reason: required system or feature not available/,
  ],
  ['AttributeMissing', /does not provide attribute/],
  ['FlakeNotFound', /HTTP error 404|Repository not found|repository '[^'\n]*' not found/],
  ['FetchFailed', NETWORK],
  ['StorePathMissing', /is required, but there is no substituter that can build it|know how to build these paths/],
  [
    'FlakeNotFound',
    /does not appear to be a git repository|(?:Git repository|tarball) "[^"\n]*" does not exist|couldn't find remote ref|unknown revision or path|could not read Username|[Cc]annot find (?:flake|Git re)|revspec '[^'\n]*' not found|does not contain a '[^'\n]*flake\.nix'|is not a flake|' is unsupported/,
  ],
  [
    'FlakeNotFound',
    /(?:getting status of|path) '\/?(?:\/nix\/store\/[0-9a-z]{32}-source(?:\/[^'\n]*)?\/flake\.nix|\/(?!nix\/store\/)[^'\n]*)'(?:: No such file| does not exist)/,
  ],
  ['FetchFailed', /unable to download '|program 'git' failed|Failed to fetch git repository/],
  [
    'BuilderFailed',
    /hash mismatch in fixed-output derivation|failed to produce output|output '[^'\n]*' is not allowed/,
  ],
  ['BuildInterrupted', /interrupted by the user|path '[^'\n]*' is not valid/],
]

function explainNix(run: FailedQuery, what: string, otherwise: ErrorCode): ShimError {
  const words = [...run.errors.map(unindent).map(withoutBuilderLog), ...run.foreign].join('\n')
  const found = isStateRefused(run, words)
    ? 'StateDirNotWritable'
    : RULES.find(([, pattern]) => pattern.test(words))?.[0]
  return reviveError(found ?? otherwise, `${what}: ${explainWords(run, found, words)}`)
}

/** What is better said before nix's own words. */
const LEADS: Readonly<Partial<Record<ErrorCode, string>>> = {
  NixDaemonAway: 'the Nix daemon does not answer, or went away: ',
  StorePathMissing: 'it is neither on this node nor in a binary cache that its nix.conf names as a substituter: ',
}

function explainWords({ exit }: FailedQuery, found: ErrorCode | undefined, words: string): string {
  if (words === '') return describeExit(exit)
  if (found === 'EvaluationFailed' && LOCK_OUTDATED.test(words))
    return 'its flake.lock is missing or does not fit its inputs: run nix flake lock there, and commit flake.lock'
  const lead = (found && LEADS[found]) ?? ''
  return lead + shorten(words, MAX_TEXT_LENGTH)
}

/** The build user must be able to reach its folders: a parent of the state folder may be in its way. */
function isStateRefused({ stateDir }: FailedQuery, words: string): boolean {
  return words
    .split('\n')
    .some(line => line.includes(`${stateDir}/`) && /Permission denied|Read-only file system/.test(line))
}

/** Nix has no word for it that is known here. */
function judgeExit({ stage, exit }: FailedRun): ErrorCode {
  const killed = exit.killedBy === 'SIGKILL' || exit.killedBy === 'SIGTERM'
  return stage === 'evaluating' && !killed ? 'EvaluationFailed' : 'BuildInterrupted'
}

function describeExit({ exitCode, killedBy }: FailedRun['exit']): string {
  if (killedBy !== undefined) return `nix was ended by ${killedBy}`
  return exitCode === undefined ? 'nix wrote too much' : `nix ended with exit code ${exitCode} and said nothing`
}

/** The log that nix repeats in its error is a builder's word, not nix's. */
function withoutBuilderLog(text: string): string {
  return text.replace(/\n *last \d+ log lines:\n[\s\S]*$/i, '')
}

/** Some messages come with the indent of a terminal. */
function unindent(text: string): string {
  return text.replace(/\n {7}/g, '\n')
}

function subject({ stage, recipe }: FailedRun): string {
  return stage === 'evaluating' ? `evaluating ${describeRecipe(recipe)}` : describeMaking(recipe)
}
