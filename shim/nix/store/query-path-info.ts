import { lstat } from 'node:fs/promises'
import pMap from 'p-map'
import type { Logger } from 'pino'
import { FinalError, RetryableError } from '../../../lib/errors.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import { isStorePath } from '../../../recipes/store-path.ts'
import { explainFailedQuery } from '../failure/explain-failure.ts'
import { createNixOutput } from '../log/nix-output.ts'
import { NO_LOG } from '../log/run-log-file.ts'
import { type NixOptions, nixFlags, runNix } from '../process/run-nix.ts'
import type { BuildUser } from '../user/build-user.ts'
import type { StateDir } from '../user/state-dir.ts'
import { daemonSocket } from './daemon-connection.ts'
import { askDaemon } from './daemon-path-info.ts'
import type { PathQuery } from './path-info.ts'
import { createClosureSize } from './path-info.ts'
import { parsePathInfo } from './path-info-answer.ts'
import { createOutageRetry } from './retry-outages.ts'

/** Always shorter than the limit for the arguments of a command (2 MiB). */
const MAX_PATHS_PER_CALL = 1_000

/** Asks the Nix daemon or, if that fails, nix about store paths. Throws a ShimError. */
export async function queryPathInfo(
  setup: QuerySetup,
  paths: readonly string[],
  query: PathQuery,
): Promise<readonly StorePathInfo[]> {
  const unique = [...new Set(paths)]
  const wrong = unique.find(path => !isStorePath(path))
  if (wrong !== undefined) throw new Error(`${JSON.stringify(wrong)} is not a store path`)
  const answer = () => (query.recursive ? askRecursively(setup, unique, query) : askFlatly(setup, unique, query))
  return query.waitForDaemon ? outlive(setup, query)(answer) : answer()
}

function outlive({ user, nix, logger }: QuerySetup, { signal }: PathQuery) {
  const onWait = (limitMs: number) => logger.warn({ limitMs }, 'the Nix daemon is away: waiting for it')
  return createOutageRetry({ socket: daemonSocket(user.env), signal, onWait, limitMs: nix.daemonWaitMs })
}

async function askFlatly(setup: QuerySetup, paths: readonly string[], query: PathQuery) {
  const there = await onlyThere(paths)
  if (there.length === 0) return []
  return (await daemonAnswer(setup, there, query)) ?? askNix(setup, there, query)
}

/** If a path is not valid, nix gives the better error. */
async function askRecursively(setup: QuerySetup, paths: readonly string[], query: PathQuery) {
  const answer = (await daemonAnswer(setup, paths, query)) ?? []
  const isValid = (path: string) => answer.some(info => info.path === path)
  return paths.every(isValid) ? answer : askNix(setup, paths, query)
}

/** Concurrent lookups in the store. */
const MAX_LOOKS = 32

/** Nix is slow for paths that are not valid, most of which do not exist at all. */
async function onlyThere(paths: readonly string[]): Promise<string[]> {
  const isThere = await pMap(
    paths,
    path =>
      lstat(path).then(
        () => true,
        () => false,
      ),
    { concurrency: MAX_LOOKS },
  )
  return paths.filter((_, index) => isThere[index])
}

async function askNix(
  setup: QuerySetup,
  paths: readonly string[],
  query: PathQuery,
): Promise<readonly StorePathInfo[]> {
  const found = new Map<string, StorePathInfo>()
  for (const question of questionsOf(paths))
    for (const info of await parsePathInfo(await ask(setup, question, query))) found.set(info.path, info)
  const size = createClosureSize()
  for (const info of found.values()) size.add(info)
  return [...found.values()]
}

/** Returns undefined if the daemon gives no valid answer; then nix itself is asked. */
async function daemonAnswer({ user }: QuerySetup, paths: readonly string[], query: PathQuery) {
  const socket = daemonSocket(user.env)
  return socket === undefined
    ? undefined
    : askDaemon(socket, paths, query).catch(error => {
        query.signal.throwIfAborted()
        if (error instanceof FinalError) throw error
        return undefined
      })
}

export interface QuerySetup {
  readonly dir: Pick<StateDir, 'root'>
  readonly user: BuildUser
  readonly nix: Omit<NixOptions, 'maxEvalMemory'>
  readonly logger: Pick<Logger, 'warn'>
}

interface Question {
  readonly flags: readonly string[]
  readonly paths: readonly string[]
}

function questionsOf(paths: readonly string[]): Question[] {
  const isDerivation = (path: string) => path.endsWith('.drv')
  return [
    ...cut(paths.filter(path => !isDerivation(path))).map(paths => ({ flags: [], paths })),
    // Before Nix 2.13, the path of a derivation stands for its outputs, unless there is a flag.
    ...cut(paths.filter(isDerivation)).map(paths => ({ flags: ['--derivation'], paths })),
  ]
}

function cut(paths: readonly string[]): string[][] {
  const calls = Math.ceil(paths.length / MAX_PATHS_PER_CALL)
  return Array.from({ length: calls }, (_, call) =>
    paths.slice(call * MAX_PATHS_PER_CALL, (call + 1) * MAX_PATHS_PER_CALL),
  )
}

/** About 5,000 paths, in characters: the answer is parsed on the main thread. */
const MAX_ANSWER_LENGTH = 4 * 1024 * 1024

/** Nix answers within a second, even about thousands of paths. */
const LIMIT_MS = 60_000

async function ask({ nix, user, dir }: QuerySetup, { flags, paths }: Question, query: PathQuery): Promise<string> {
  const { recursive, signal } = query
  const depth = recursive ? ['--recursive'] : []
  const timeLimit = AbortSignal.timeout(LIMIT_MS)
  const { read, errors, foreign } = createNixOutput(NO_LOG, () => {})
  const { stdout, ...exit } = await runNix({
    command: nix.command,
    args: ['path-info', '--json', ...depth, ...flags, ...paths, ...nixFlags(nix), ...NOWHERE_ELSE],
    user,
    signal: AbortSignal.any([signal, timeLimit]),
    onLine: read,
    maxStdoutLength: MAX_ANSWER_LENGTH,
  })
  if (exit.exitCode === 0) return stdout
  if (signal.aborted) throw new RetryableError('Cancelled', 'asking Nix about store paths was cancelled')
  if (timeLimit.aborted)
    throw new RetryableError('NixDaemonAway', `Nix did not answer about store paths within ${LIMIT_MS / 1000} s`)
  throw explainFailedQuery({ stateDir: dir.root, exit, errors, foreign })
}

/** Otherwise nix looks for missing paths in binary caches. */
const NOWHERE_ELSE = ['--option', 'substitute', 'false']
