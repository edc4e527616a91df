import type { Logger } from 'pino'
import { createFairGate, type FairGate, shareOf } from '../../lib/queues/fair-gate.ts'
import { isFlakeRecipe, isLocked, type Recipe, recipeKey } from '../../recipes/recipe.ts'
import { createBuildHelpers } from './build-helpers.ts'
import { createSourceCaches } from './caches/source-caches.ts'
import { type CollectionEnd, createCollector } from './collect/collector.ts'
import { findOtherCollector } from './collect/other-collector.ts'
import type { CollectionLimits } from './collect/plan-collection.ts'
import { runCollection } from './collect/run-collection.ts'
import { createStoreGuard } from './collect/store-guard.ts'
import { storeRoom } from './collect/store-room.ts'
import type { BuildCall, Builder } from './contract.ts'
import { checkNixKnows } from './evaluate/flake-address.ts'
import type { BuildJob } from './helper/messages.ts'
import { createLogFolder, type LogFolder } from './log/log-folder.ts'
import { pruneRunLogs } from './log/prune-run-logs.ts'
import { createVersionQuery, supportsLeadingDot } from './process/nix-version.ts'
import type { NixOptions } from './process/run-nix.ts'
import { createSharedBuild, type ShareOptions } from './shared-build.ts'
import type { PathSharing } from './sharing.ts'
import { queryPathInfo } from './store/query-path-info.ts'
import { archiveKey, createResults, type Results } from './store/results.ts'
import { resolveBuildUser } from './user/build-user.ts'
import { type CredentialFiles, createCredentials } from './user/credentials.ts'
import { emptyCompileCache, foldersOf, guardState, prepareStateDir } from './user/state-dir.ts'
import { createUserConfig, gitAccess } from './user/user-config.ts'

export interface BuilderOptions {
  /** Absolute. Contains gc roots, results and the build user's home. */
  readonly stateDir: string
  /** By default within the state folder. */
  readonly logs?: LogFolder
  readonly nix: NixOptions & {
    /** `null`: nix runs as the user of the shim. */
    readonly user: string | null
    /**
     * Concurrent builds; further builds are queued. If more than one, a namespace never gets all of them. With 0, this node builds
     * nothing: it only evaluates, and copies.
     */
    readonly maxBuilds: number
    readonly credentials?: CredentialFiles
  }
  /** When Nix collects garbage. If missing, it does not. */
  readonly collection?: CollectionOptions | undefined
  /** Shares what is built with other nodes. If missing, this node builds everything. */
  readonly sharing?: PathSharing | undefined
  /** Has no effect without `sharing`. */
  readonly share?: ShareOptions
  /** Whether nothing else needs the memory of a helper that waits for the next build. */
  readonly isIdle?: () => boolean
  readonly logger: Logger
  /** By default, that of this process; build-user.ts decides which variables nix gets. */
  readonly env?: Readonly<NodeJS.ProcessEnv>
}

export interface CollectionOptions extends CollectionLimits {
  /** Whether to collect although something else does. */
  readonly always: boolean
  readonly onEnd?: ((end: CollectionEnd, freed: number) => void) | undefined
  /** Ends what is being collected. */
  readonly stopping: AbortSignal
}

/** Throws BuildUserUnknown, StateDirNotWritable, StateDirUnsafe or DiskFull. */
export async function createBuilder({
  stateDir,
  logger,
  logs = createLogFolder({ logDir: foldersOf(stateDir).logs, stateDir, logger }),
  nix,
  collection,
  sharing,
  share = {},
  isIdle,
  env = process.env,
}: BuilderOptions): Promise<Builder> {
  const dir = foldersOf(stateDir, logs.path())
  const user = await resolveBuildUser({ name: nix.user, home: dir.home, configHome: dir.config, env })
  const log = logger.child({ stage: 'build' })
  await prepareStateDir(dir, user, log)
  const credentials = createCredentials({ dir, user, userName: nix.user, files: nix.credentials ?? {}, logger: log })
  const results = createResults(dir)
  const userConfig = createUserConfig(dir)
  const { command, timeoutMs, maxEvalMemory, options, daemonWaitMs } = nix
  const fetchOnly = nix.maxBuilds === 0
  const limits = fetchOnly ? BUILDS_NOTHING : {}
  const settings = { command, timeoutMs, maxEvalMemory, options: { ...options, ...limits }, daemonWaitMs }
  const nixVersion = createVersionQuery({ command, user })
  const caches = createSourceCaches({ dir, user, logger: log })
  const places = gateOf(fetchOnly ? EVALUATIONS_OF_FETCH_ONLY : nix.maxBuilds, 'build')
  const copies = gateOf(MAX_COPIES, 'copy')
  const helpers = createBuildHelpers({ isIdle, compileCache: await emptyCompileCache(dir) })
  const active = createActiveKeys()
  const pruneLogs = createPruneLogs(logs.all, log)
  const guard = createStoreGuard()
  const collector =
    collection &&
    createCollector({
      limits: collection,
      room: storeRoom,
      otherCollector: async (room, signal) =>
        collection.always ? undefined : findOtherCollector({ nix, user, signal }, collection, room),
      collect: (bytes, signal) => guard.collect(signal, () => runCollection({ nix, user }, bytes, signal)),
      onEnd: collection.onEnd,
      logger: log,
    })
  const inTurnOf =
    (gate: FairGate) =>
    async <Result>(call: BuildCall, run: () => Promise<Result>) => {
      const { owners, signal, onProgress } = call
      const onAhead = (ahead: number) => onProgress({ phase: 'queued', ahead })
      return gate.run({ owners, signal, onAhead }, async () => {
        await prepareStateDir({ ...dir, logs: await logs.choose() }, user, log)
        await credentials.place()
        // Earlier changes must not remove what this run's helper writes.
        await results.settled()
        return run().finally(pruneLogs)
      })
    }
  const inTurn = inTurnOf(places)
  const withJob = async <Result>(recipe: Recipe, call: BuildCall, use: (job: BuildJob) => Promise<Result>) => {
    await guardState(dir.root, () => userConfig.prepare(recipe))
    return caches.use(recipe, call.owners, async cached => {
      const env = { ...cached.env, ...gitAccess(recipe) }
      const namespaces = [...call.owners.current()]
      const version = isFlakeRecipe(recipe) ? await nixVersion() : ''
      if (isFlakeRecipe(recipe)) checkNixKnows(recipe.flake, version)
      const nix = { ...settings, leadingDot: supportsLeadingDot(version) }
      const job = {
        dir: { ...dir, logs: logs.path() },
        user: { ...cached, env },
        nix,
        recipe,
        namespaces,
        logLevel: logger.level,
      }
      return guard.use(call.signal, () => use(job))
    })
  }
  const withContent = async <Result>(recipe: Recipe, call: BuildCall, use: (job: BuildJob) => Promise<Result>) => {
    const content = isLocked(recipe) || !call.findLock ? undefined : ((await call.findLock()) ?? 'current')
    return withJob(recipe, call, job => use(content ? { ...job, content } : job))
  }
  const buildAlone = (recipe: Recipe, call: BuildCall) =>
    inTurn(call, () => withContent(recipe, call, job => helpers.make(job, call)))
  const buildShared =
    sharing &&
    createSharedBuild({
      ...{ sharing, share, fetchOnly, helpers, logger: log },
      ...{ withJob, withContent, inTurn, inTurnToCopy: inTurnOf(copies) },
    })
  return {
    build: (recipe, call) =>
      active.during(recipeKey(recipe), () =>
        buildShared && isFlakeRecipe(recipe) ? buildShared(recipe, call) : buildAlone(recipe, call),
      ),
    withArchive: (program, { recipe, ...call }, use) => {
      const key = archiveKey(recipe)
      const run = (job: BuildJob) => helpers.runProgram({ ...job, program, fetchOnly }, call)
      return active.during(key, async () => {
        try {
          return await use(await inTurn(call, () => withJob(recipe, call, run)))
        } finally {
          await results.release(key)
        }
      })
    },
    findResult: recipe => findLocked(results, recipe),
    announce: storePath => sharing?.has(storePath),
    keepOnly: keys => results.keepOnly(new Set([...keys, ...active.keys()])),
    collectGarbage: async ({ isNew }) => collection && collector?.collectIfLow(collection.stopping, isNew),
    pathInfo: (paths, query) => queryPathInfo({ dir, user, nix, logger: log }, paths, query),
  }
}

/** Copies mostly wait for disks and networks, not for processors. */
const MAX_COPIES = 4
const EVALUATIONS_OF_FETCH_ONLY = 2

/** Nix settings. Some evaluations build a derivation and read its output; others must not, either. */
const BUILDS_NOTHING = { 'max-jobs': '0', builders: '', 'allow-import-from-derivation': 'false' }

function gateOf(count: number, what: string): FairGate {
  return createFairGate({ count, perOwner: shareOf(count), what })
}

/** Starts pruning unless it is running. */
function createPruneLogs(folders: readonly string[], log: Logger): () => void {
  let isPruning = false
  const prune = async () => {
    isPruning = true
    await pruneRunLogs(...folders).catch(err => log.warn({ err }, 'removing old build logs failed'))
    isPruning = false
  }
  return () => {
    if (!isPruning) void prune()
  }
}

/** The result of an unlocked flake may be outdated. */
async function findLocked(results: Results, recipe: Recipe) {
  return isLocked(recipe) ? results.find(recipeKey(recipe)) : undefined
}

interface ActiveKeys {
  during<Result>(key: string, task: () => Promise<Result>): Promise<Result>
  keys(): Iterable<string>
}

/** Keys of queued and running builds: their gc roots are kept. */
function createActiveKeys(): ActiveKeys {
  const counts = new Map<string, number>()
  return {
    keys: () => counts.keys(),
    async during(key, task) {
      counts.set(key, (counts.get(key) ?? 0) + 1)
      try {
        return await task()
      } finally {
        const left = (counts.get(key) ?? 1) - 1
        if (left > 0) counts.set(key, left)
        else counts.delete(key)
      }
    },
  }
}
