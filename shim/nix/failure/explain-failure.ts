import { type ErrorCode, FinalError, reviveError, type ShimError } from '../../../lib/errors.ts'
import type { ProcessEnd } from '../../../lib/process/run-process.ts'
import { cutLines } from '../../../lib/text/cut.ts'
import { formatSize } from '../../../lib/text/size.ts'
import { describeMaking, describeRecipe, type Recipe } from '../../../recipes/recipe.ts'
import type { NixError } from '../log/journal.ts'
import { derivationName } from '../log/nix-log.ts'
import { runLogFile } from '../user/state-dir.ts'
import {
  BUILD_RULES,
  CREDENTIALS,
  GIT_FAILED,
  GIT_RULES,
  hasClue,
  isOfDownload,
  isWriteRefused,
  judge,
  LOCK_OUTDATED,
  NOT_VALID,
  RULES,
  RULES_OF_BUILDS,
} from './error-patterns.ts'
import { type FailedBuilder, findCause, isFixedOutput, readFailedBuilder } from './failed-builder.ts'
import { trimNixText } from './nix-text.ts'

/** A run of nix that did not end well, and all that is known of it. */
export interface FailedRun {
  readonly recipe: Recipe
  readonly runId: string
  readonly stateDir: string
  readonly stage: 'evaluating' | 'building'
  /** In bytes. */
  readonly maxEvalMemory: number
  /** Nix failed while it evaluated, in words that the flake may have chosen: they decide nothing. */
  readonly isDoubted?: boolean
  readonly exit: Pick<ProcessEnd, 'exitCode' | 'killedBy'>
  readonly errors: readonly NixError[]
  readonly foreign: readonly string[]
  /** Settings that nix said it ignores. */
  readonly ignored?: readonly string[]
  builderTail(derivation?: string): readonly string[]
}

/** Longest piece of nix's or a builder's words in a message, in characters. */
const MAX_TEXT_LENGTH = 4096

/**
 * Says what went wrong and whether another try may help. The code is one of the catalogue's build codes. It is told by the
 * error that ended nix: a builder, a `builtins.trace` or a server can write all that stands before.
 */
export function explainFailure(run: FailedRun): ShimError {
  if (isOutOfMemory(run)) return explainMemory(run)
  const cause = findCause(run.errors)
  const builder = cause && readFailedBuilder(cause.text)
  if (builder) return explainBuilder(run, builder)
  if (run.stage === 'building' && cause?.text.startsWith(JSON_EXCEPTION)) return explainLogLine(run, cause)
  const found = cause && !cause.own ? (judge(cause.text, BUILD_RULES) ?? 'BuilderFailed') : undefined
  return explainNix(run, { what: `${subject(run)} failed`, cause, found, otherwise: judgeExit(run) })
}

/** A daemon reads lines of a builder that begin with `@nix` as JSON, and some end by such a line. */
const JSON_EXCEPTION = '[json.exception.'

function explainLogLine(run: FailedRun, { text }: NixError): ShimError {
  const why = 'a builder wrote a line that begins with @nix, which Nix takes for its own and cannot read'
  const wayOut = 'have it write no such lines'
  const message = `${subject(run)} failed: ${why} (${cutLines(text, MAX_TEXT_LENGTH)}): ${wayOut}\n${pointToLog(run)}`
  return new FinalError('BuilderFailed', message)
}

/** The one error that ends nix and is passed on like a text: its own catch of std::bad_alloc. */
function isOutOfMemory({ stage, errors }: FailedRun): boolean {
  return stage === 'evaluating' && errors.every(({ own }) => !own) && errors.at(-1)?.text === 'out of memory'
}

function explainMemory(run: FailedRun): ShimError {
  const limit = `${formatSize(run.maxEvalMemory)} (nix.maxEvalMemory in the config)`
  return new FinalError('EvaluationFailed', `${subject(run)} failed: its values take more memory than ${limit}`)
}

/** The same of a nix that was only asked about store paths. */
export function explainFailedQuery(query: FailedQuery): ShimError {
  const what = 'asking Nix about store paths failed'
  const cause = findCause(query.errors)
  const found = cause && hasClue(cause.text, NOT_VALID) ? 'StorePathMissing' : undefined
  return explainNix(query, { what, cause, found, otherwise: 'BuildInterrupted' })
}

export type FailedQuery = Pick<FailedRun, 'stateDir' | 'exit' | 'errors' | 'foreign' | 'ignored'> & Partial<FailedRun>

/** Who is killed from outside, for want of memory or at a shutdown, is not at fault. */
const KILLED = /^due to signal (?:9|15)\b|^with exit code (?:137|143)\b/

function explainBuilder(run: FailedRun, { drvPath, how, diskFull }: FailedBuilder): ShimError {
  const derivation = derivationName(drvPath)
  const tail = run.builderTail(derivation)
  const words =
    tail.length === 0 ? ' It wrote no log.' : ` The end of its log:\n${cutLines(tail.join('\n'), MAX_TEXT_LENGTH)}`
  const message = `building ${describeRecipe(run.recipe)} failed: the builder of ${derivation} failed ${how}.${words}\n${pointToLog(run)}`
  return reviveError(run.isDoubted ? judgeExit(run) : judgeBuilder(drvPath, how, diskFull), message)
}

/** Where a person finds all that was written. */
export function pointToLog({ stateDir, runId }: Pick<FailedRun, 'stateDir' | 'runId'>): string {
  return `(the whole log: ${runLogFile(stateDir, runId)} on the node)`
}

/** By what nix knows of it, and nothing that it wrote. */
function judgeBuilder(drvPath: string, how: string, diskFull: boolean): ErrorCode {
  if (KILLED.test(how)) return 'BuildInterrupted'
  if (diskFull) return 'DiskFull'
  return isFixedOutput(drvPath) ? 'FetchFailed' : 'BuilderFailed'
}

interface NixFailure {
  readonly what: string
  readonly cause: NixError | undefined
  readonly found?: ErrorCode | undefined
  readonly otherwise: ErrorCode
}

function explainNix(run: FailedQuery, { what, cause, found, otherwise }: NixFailure): ShimError {
  const text = cause ? trimNixText(cause.text) : lastWords(run)
  const isGit = hasClue(text, GIT_FAILED)
  const words = [text, ...(isGit || text === '' ? run.foreign : [])].filter(line => line !== '').join('\n')
  const judged = run.isDoubted ? undefined : (found ?? judgeWords(run, text, isGit ? words : undefined))
  const code = judged ?? otherwise
  return reviveError(code, `${what}: ${explainWords(run, code, words)}`)
}

/** Of a nix that ended itself, C++'s runtime tells the error that nobody caught. */
function lastWords({ exit, foreign }: FailedQuery): string {
  const what =
    exit.killedBy === 'SIGABRT' ? foreign.findLast(line => line.trimStart().startsWith('what():')) : undefined
  return what?.trim() ?? ''
}

function judgeWords({ stateDir, stage }: FailedQuery, text: string, git: string | undefined): ErrorCode | undefined {
  // The build user must be able to reach its folders: a parent of the state folder may be in its way.
  if (isWriteRefused(text, `${stateDir}/`)) return 'StateDirNotWritable'
  if (stage !== 'evaluating' && !isOfDownload(text)) return judge(text, RULES_OF_BUILDS)
  if (git !== undefined) return judge(git, GIT_RULES)
  return judge(text, RULES) ?? (isMissingPath(text) ? 'FlakeNotFound' : undefined)
}

/** What is better said before nix's own words. */
const LEADS: Readonly<Partial<Record<ErrorCode, string>>> = {
  NixDaemonAway: 'the Nix daemon does not answer, or went away: ',
  StorePathMissing: 'it is neither on this node nor in a binary cache that its nix.conf names as a substituter: ',
}

function explainWords({ exit, ignored = [] }: FailedQuery, code: ErrorCode, words: string): string {
  if (words === '') return describeExit(exit)
  if (code === 'EvaluationFailed' && hasClue(words, LOCK_OUTDATED))
    return 'its flake.lock is missing or does not fit its inputs: run nix flake lock there, and commit flake.lock'
  const told = (LEADS[code] ?? '') + cutLines(words, MAX_TEXT_LENGTH)
  if (code === 'StorePathMissing') return [told, ...ignored.map(words => `(Nix said, too: ${words})`)].join('\n')
  const isPrivate = (code === 'FlakeNotFound' || code === 'FetchFailed') && hasClue(words, CREDENTIALS)
  return isPrivate ? `${told}\n${NO_CREDENTIALS}` : told
}

const NO_CREDENTIALS = '(a private source answers so, too, if the node has no credentials for it, or wrong ones)'

/** The flake itself, and no file that it lacks in its own source. */
function isMissingPath(text: string): boolean {
  const start = ["getting status of '", "path '"].find(start => text.startsWith(start))
  if (start === undefined) return false
  const path = text.slice(start.length, text.indexOf("'", start.length)).replace(/^\/\//, '/')
  const rest = text.slice(text.indexOf("'", start.length) + 1)
  if (!rest.startsWith(': No such file') && !rest.startsWith(' does not exist')) return false
  return path.startsWith('/nix/store/') ? SOURCE_FLAKE.test(path) : path.startsWith('/')
}

const SOURCE_FLAKE = /^\/nix\/store\/[0-9a-z]{32}-source\/(?:.{1,500}\/)?flake\.nix$/

/** Nix has no word for it that is known here. */
function judgeExit({ stage, exit }: FailedRun): ErrorCode {
  const killed = exit.killedBy === 'SIGKILL' || exit.killedBy === 'SIGTERM'
  return stage === 'evaluating' && !killed ? 'EvaluationFailed' : 'BuildInterrupted'
}

function describeExit({ exitCode, killedBy }: FailedRun['exit']): string {
  if (killedBy !== undefined) return `nix was ended by ${killedBy}`
  return exitCode === undefined ? 'nix wrote too much' : `nix ended with exit code ${exitCode} and said nothing`
}

function subject({ stage, recipe }: FailedRun): string {
  return stage === 'evaluating' ? `evaluating ${describeRecipe(recipe)}` : describeMaking(recipe)
}
