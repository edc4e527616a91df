import { type ErrorCode, FinalError, reviveError, type ShimError } from '../../../lib/errors.ts'
import type { ProcessEnd } from '../../../lib/process/run-process.ts'
import { cutLines } from '../../../lib/text/cut.ts'
import { formatSize } from '../../../lib/text/units.ts'
import { describeRecipe, describeWork, type Recipe } from '../../../recipes/recipe.ts'
import { derivationName } from '../log/nix-log.ts'
import type { NixError } from '../log/nix-output.ts'
import { runLogFile } from '../user/state-dir.ts'
import {
  BUILDING_ERRORS,
  CREDENTIALS,
  classify,
  DERIVATION_ERRORS,
  GIT_ERRORS,
  GIT_FAILED,
  isDownloadError,
  isWriteRefused,
  LOCK_OUTDATED,
  matchesAny,
  NIX_ERRORS,
  NOT_VALID,
} from './error-patterns.ts'
import { type FailedBuilder, findCause, isFixedOutput, readFailedBuilder } from './failed-builder.ts'
import { trimNixText } from './nix-text.ts'

/** What is known about a nix command that failed. */
export interface FailedRun {
  readonly recipe: Recipe
  readonly runId: string
  readonly stateDir: string
  /** Folder of the run logs. */
  readonly logs: string
  readonly step: 'evaluating' | 'building'
  /** What is at work, if it is not the recipe itself. */
  readonly subject?: string | undefined
  /** In bytes. */
  readonly maxEvalMemory: number
  /** The flake may have chosen the error text: it must not decide the error code. */
  readonly isUntrusted?: boolean
  readonly exit: Pick<ProcessEnd, 'exitCode' | 'killedBy'>
  readonly errors: readonly NixError[]
  readonly foreign: readonly string[]
  /** Settings that nix reported as ignored. */
  readonly ignored?: readonly string[]
  builderTail(derivation?: string): readonly string[]
}

/** Longest text of nix or a builder in a message, in characters. */
const MAX_TEXT_LENGTH = 4096

/**
 * Returns an error that says what failed and whether a retry may help, with one of the build codes. The last error of nix decides the
 * code: builders, `builtins.trace` and servers can write everything before it.
 */
export function explainFailure(run: FailedRun): ShimError {
  if (isOutOfMemory(run)) return explainMemory(run)
  const cause = findCause(run.errors)
  const builder = cause && readFailedBuilder(cause.text)
  if (builder) return explainBuilder(run, builder)
  if (run.step === 'building' && cause?.text.startsWith(JSON_EXCEPTION)) return explainLogLine(run, cause)
  const found = cause && !cause.own ? (classify(cause.text, DERIVATION_ERRORS) ?? 'BuilderFailed') : undefined
  return explainNix(run, { what: `${subject(run)} failed`, cause, found, otherwise: classifyExit(run) })
}

/** A daemon parses lines of a builder that begin with `@nix` as JSON, and some versions end at such a line. */
const JSON_EXCEPTION = '[json.exception.'

function explainLogLine(run: FailedRun, { text }: NixError): ShimError {
  const why = 'a builder wrote a line that begins with @nix, which Nix reads as its own log format and cannot parse'
  const wayOut = 'change the builder so that it writes no such lines'
  const message = `${subject(run)} failed: ${why} (${cutLines(text, MAX_TEXT_LENGTH)}): ${wayOut}\n${pointToLog(run)}`
  return new FinalError('BuilderFailed', message)
}

/** Nix logs this error of its own (std::bad_alloc) as plain text. */
function isOutOfMemory({ step, errors }: FailedRun): boolean {
  return step === 'evaluating' && errors.every(({ own }) => !own) && errors.at(-1)?.text === 'out of memory'
}

function explainMemory(run: FailedRun): ShimError {
  const limit = `${formatSize(run.maxEvalMemory)} (nix.maxEvalMemory in the config)`
  const message = `${subject(run)} failed: it takes more memory than ${limit}\n${pointToLog(run)}`
  return new FinalError('EvaluationFailed', message)
}

/** Explains a failed query about store paths, or another command that is not part of a run. */
export function explainFailedQuery(query: FailedQuery, what = 'asking Nix about store paths failed'): ShimError {
  const cause = findCause(query.errors)
  const found = cause && matchesAny(cause.text, NOT_VALID) ? 'StorePathMissing' : undefined
  return explainNix(query, { what, cause, found, otherwise: 'BuildInterrupted' })
}

export type FailedQuery = Pick<FailedRun, 'stateDir' | 'exit' | 'errors' | 'foreign' | 'ignored'> & Partial<FailedRun>

/** A builder that is killed from outside, for lack of memory or at a shutdown, is not at fault. */
const KILLED = /^due to signal (?:9|15)\b|^with exit code (?:137|143)\b/

function explainBuilder(run: FailedRun, { drvPath, how, diskFull }: FailedBuilder): ShimError {
  const derivation = derivationName(drvPath)
  const tail = run.builderTail(derivation)
  const words =
    tail.length === 0 ? ' It wrote no log.' : ` The end of its log:\n${cutLines(tail.join('\n'), MAX_TEXT_LENGTH)}`
  const message = `building ${describeRecipe(run.recipe)} failed: the builder of ${derivation} failed ${how}.${words}\n${pointToLog(run)}`
  return reviveError(run.isUntrusted ? classifyExit(run) : classifyBuilder(drvPath, how, diskFull), message)
}

/** Names the log file for people. */
export function pointToLog({ logs, runId }: Pick<FailedRun, 'logs' | 'runId'>): string {
  return `(the whole log: ${runLogFile(logs, runId)} on the node)`
}

/** Uses only what nix knows about the builder, not what the builder wrote. */
function classifyBuilder(drvPath: string, how: string, diskFull: boolean): ErrorCode {
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
  const isGit = matchesAny(text, GIT_FAILED)
  const words = [text, ...(isGit || text === '' ? run.foreign : [])].filter(line => line !== '').join('\n')
  const classified = run.isUntrusted ? undefined : (found ?? classifyText(run, text, isGit ? words : undefined))
  const code = classified ?? otherwise
  const message = `${what}: ${explainWords(run, code, words)}`
  return reviveError(code, code === 'EvaluationFailed' ? withLog(run, message) : message)
}

/** The log has the traces of an evaluation, too. A query has none. */
function withLog({ logs, runId }: FailedQuery, message: string): string {
  return logs === undefined || runId === undefined ? message : `${message}\n${pointToLog({ logs, runId })}`
}

/** If nix aborts, the C++ runtime prints the uncaught error. */
function lastWords({ exit, foreign }: FailedQuery): string {
  const what =
    exit.killedBy === 'SIGABRT' ? foreign.findLast(line => line.trimStart().startsWith('what():')) : undefined
  return what?.trim() ?? ''
}

function classifyText({ stateDir, step }: FailedQuery, text: string, git: string | undefined): ErrorCode | undefined {
  // A parent of the state folder may deny access to the build user.
  if (isWriteRefused(text, `${stateDir}/`)) return 'StateDirNotWritable'
  if (step !== 'evaluating' && !isDownloadError(text)) return classify(text, BUILDING_ERRORS)
  if (git !== undefined) return classify(git, GIT_ERRORS)
  return classify(text, NIX_ERRORS) ?? (isMissingPath(text) ? 'FlakeNotFound' : undefined)
}

/** Introductions to the text of nix. */
const LEADS: Readonly<Partial<Record<ErrorCode, string>>> = {
  NixDaemonAway: 'the Nix daemon does not answer, or went away: ',
  StorePathMissing: 'it is neither on this node nor in a binary cache that its nix.conf names as a substituter: ',
}

function explainWords({ exit, ignored = [] }: FailedQuery, code: ErrorCode, words: string): string {
  if (words === '') return describeExit(exit)
  if (code === 'EvaluationFailed' && matchesAny(words, LOCK_OUTDATED))
    return 'its flake.lock is missing or does not match its inputs: run nix flake lock there, and commit flake.lock'
  const explained = (LEADS[code] ?? '') + cutLines(words, MAX_TEXT_LENGTH)
  if (code === 'StorePathMissing') return [explained, ...ignored.map(words => `(Nix also said: ${words})`)].join('\n')
  const isPrivate = (code === 'FlakeNotFound' || code === 'FetchFailed') && matchesAny(words, CREDENTIALS)
  return isPrivate ? `${explained}\n${NO_CREDENTIALS}` : explained
}

const NO_CREDENTIALS = '(a private source also answers this if the node has no credentials for it, or wrong ones)'

/** Whether the flake itself is missing, as opposed to a file in its source. */
function isMissingPath(text: string): boolean {
  const start = ["getting status of '", "path '"].find(start => text.startsWith(start))
  if (start === undefined) return false
  const path = text.slice(start.length, text.indexOf("'", start.length)).replace(/^\/\//, '/')
  const rest = text.slice(text.indexOf("'", start.length) + 1)
  if (!rest.startsWith(': No such file') && !rest.startsWith(' does not exist')) return false
  return path.startsWith('/nix/store/') ? SOURCE_FLAKE.test(path) : path.startsWith('/')
}

const SOURCE_FLAKE = /^\/nix\/store\/[0-9a-z]{32}-source\/(?:.{1,500}\/)?flake\.nix$/

/** The code if no pattern matches. */
function classifyExit({ step, exit }: FailedRun): ErrorCode {
  const killed = exit.killedBy === 'SIGKILL' || exit.killedBy === 'SIGTERM'
  return step === 'evaluating' && !killed ? 'EvaluationFailed' : 'BuildInterrupted'
}

function describeExit({ exitCode, killedBy }: FailedRun['exit']): string {
  if (killedBy !== undefined) return `nix was ended by ${killedBy}`
  return exitCode === undefined ? 'nix wrote too much' : `nix ended with exit code ${exitCode} and said nothing`
}

function subject({ step, recipe, subject }: FailedRun): string {
  if (subject !== undefined) return subject
  return step === 'evaluating' ? `evaluating ${describeRecipe(recipe)}` : describeWork(recipe)
}
