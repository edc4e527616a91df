import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type ErrorCode, reviveError } from '../../../lib/errors.ts'
import type { ImageProgram } from '../../../recipes/built-package.ts'
import { type FlakeUrl, parseFlakeUrl } from '../../../recipes/flake-url.ts'
import type { FlakeRecipe, Recipe } from '../../../recipes/recipe.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import type { BuilderOptions, CollectionOptions } from '../../../shim/nix/builder.ts'
import type { BuildProgress } from '../../../shim/nix/log/build-progress.ts'
import type { PathQuery } from '../../../shim/nix/store/path-info.ts'
import type { BuildResult } from '../../../shim/nix/store/results.ts'
import type { Bed } from '../../node/bed.ts'
import { BUILDER_HOST } from '../../node/own-programs.ts'
import type { HostReply, HostRequest } from './builder-host.ts'
import type { FakeCluster, SharingEvent } from './fake-sharing.ts'
import { follow, type RemoteBuild } from './remote-build.ts'

/** A builder that runs inside a bed, in its own process. */
export interface RemoteBuilder extends AsyncDisposable {
  readonly process: ChildProcess
  readonly stateDir: string
  start(recipe: Recipe, namespace?: string): RemoteBuild
  /** Like `start`, but resolves with the result. */
  build(recipe: Recipe): Promise<BuildResult>
  /** As `build`, on a node without a cluster. */
  buildAlone(recipe: Recipe): Promise<BuildResult>
  /** As `start`; the recipe's flake had that content elsewhere. */
  startLocked(recipe: Recipe, lockedFlakeUrl: string): RemoteBuild
  /** Returns what a program of the recipe's package writes. */
  runProgram(recipe: Recipe, program: ImageProgram): Promise<string>
  findResult(recipe: Recipe): Promise<BuildResult | undefined>
  keepOnly(keys: readonly string[]): Promise<void>
  collectGarbage(): Promise<void>
  pathInfo(paths: readonly string[], query?: Omit<PathQuery, 'signal'>): Promise<readonly StorePathInfo[]>
  /** What the builder has asked and told the cluster. */
  sharingEvents(): Promise<readonly SharingEvent[]>
  /** Resident memory in bytes. */
  memory(): Promise<number>
}

export interface RemoteBuilderOptions {
  readonly stateDir?: string
  readonly nix?: Partial<BuilderOptions['nix']>
  readonly cluster?: FakeCluster
  readonly share?: BuilderOptions['share']
  readonly collection?: Omit<CollectionOptions, 'onEnd' | 'stopping'>
  /** Prefix of the argument vector, in place of the bed's own. */
  readonly enter?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
}

/** Defaults of the shim. */
const HEAP_FLAGS = ['--max-semi-space-size=2', '--max-old-space-size=256']

let builders = 0

export function startBuilder(
  bed: Bed,
  { nix, cluster, share, collection, ...options }: RemoteBuilderOptions = {},
): RemoteBuilder {
  builders += 1
  const stateDir = options.stateDir ?? join(bed.dir, `builder-${builders}`)
  const defaults = {
    command: 'nix',
    user: bed.buildUser.name,
    maxBuilds: 2,
    timeoutMs: 60_000,
    maxEvalMemory: 2 ** 32,
    options: {},
  }
  const [program = '', ...prefix] = options.enter ?? bed.enter
  const child = spawn(
    program,
    [
      ...prefix,
      process.execPath,
      ...HEAP_FLAGS,
      BUILDER_HOST,
      JSON.stringify({ stateDir, cluster, share, collection, nix: { ...defaults, ...nix } }),
    ],
    { env: { ...bed.env, ...options.env }, stdio: ['pipe', 'pipe', 'ignore'] },
  )
  const talk = createTalk(child)
  const request = (question: Question) => talk(question).done
  const start = (recipe: Recipe, namespace = 'default', lock?: FlakeUrl | 'nobody knows') => {
    const asked = talk({ op: 'build', recipe, namespace, ...(lock && { lock }) })
    return follow(asked, () => void talk({ op: 'abort', build: asked.id }).done)
  }
  return {
    process: child,
    stateDir,
    start: (recipe, namespace) => start(recipe, namespace),
    build: recipe => start(recipe).done,
    buildAlone: recipe => start(recipe, 'default', 'nobody knows').done,
    startLocked: (recipe, lockedFlakeUrl) => start(recipe, 'default', parseFlakeUrl(lockedFlakeUrl)),
    runProgram: async (recipe, program) =>
      (await request({ op: 'archive', recipe, program, namespace: 'default' })).text ?? '',
    findResult: async recipe => (await request({ op: 'find', recipe })).output,
    keepOnly: async keys => void (await request({ op: 'keepOnly', keys: [...keys] })),
    collectGarbage: async () => void (await request({ op: 'collectGarbage' })),
    pathInfo: async (paths, query = { recursive: false }) =>
      (await request({ op: 'pathInfo', paths: [...paths], ...query })).infos ?? [],
    sharingEvents: async () => (await request({ op: 'sharing' })).events ?? [],
    memory: async () => (await request({ op: 'memory' })).bytes ?? 0,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** A recipe for tests, whose image is named after the package. */
export function recipeOf(flake: string, packageName: string, system = 'x86_64-linux'): FlakeRecipe {
  return { image: `registry.example/${packageName.toLowerCase()}:1`, flake: parseFlakeUrl(flake), packageName, system }
}

type Question = HostRequest extends infer Each ? (Each extends HostRequest ? Omit<Each, 'id'> : never) : never
type Done = Extract<HostReply, { done: object }>['done']

export interface Asked {
  readonly id: number
  readonly done: Promise<Done>
  onProgress(listener: (progress: BuildProgress) => void): void
}

interface Pending {
  readonly listeners: ((progress: BuildProgress) => void)[]
  readonly resolve: (done: Done) => void
  readonly reject: (error: Error) => void
}

function createTalk(child: ChildProcess): (question: Question) => Asked {
  const pending = new Map<number, Pending>()
  if (child.stdout === null) throw new Error('no pipe from the builder')
  createInterface(child.stdout).on('line', line => {
    const reply: HostReply = JSON.parse(line)
    const asked = pending.get(reply.id)
    if ('progress' in reply) for (const listener of asked?.listeners ?? []) listener(reply.progress)
    else if ('done' in reply) asked?.resolve(reply.done)
    else asked?.reject(revive(reply.error))
  })
  child.once('exit', () => {
    for (const { reject } of pending.values()) reject(new Error('the builder process ended'))
  })
  let id = 0
  return question => {
    id += 1
    const listeners: Pending['listeners'] = []
    const done = new Promise<Done>((resolve, reject) => pending.set(id, { listeners, resolve, reject }))
    done.catch(() => {})
    child.stdin?.write(`${JSON.stringify({ ...question, id })}\n`)
    return { id, done, onProgress: listener => void listeners.push(listener) }
  }
}

function revive({ code, message }: { code: ErrorCode; message: string }): Error {
  return reviveError(code, message)
}
