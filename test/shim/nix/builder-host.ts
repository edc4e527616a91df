// Runs a builder inside a bed. Arguments: BuilderOptions as JSON, and a FakeCluster as `cluster`. Standard input and output: HostRequest and
// HostReply, one JSON object a line.
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { pino } from 'pino'
import { type ErrorCode, toShimError } from '../../../lib/errors.ts'
import { ownedBy } from '../../../lib/queues/fair-order.ts'
import type { ImageProgram } from '../../../recipes/built-package.ts'
import type { FlakeUrl } from '../../../recipes/flake-url.ts'
import type { Recipe } from '../../../recipes/recipe.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import { createBuilder } from '../../../shim/nix/builder.ts'
import type { BuildProgress } from '../../../shim/nix/log/build-progress.ts'
import type { PathQuery } from '../../../shim/nix/store/path-info.ts'
import type { BuildResult } from '../../../shim/nix/store/results.ts'
import { fakeSharing, type SharingEvent } from './fake-sharing.ts'

export type HostRequest =
  | { id: number; op: 'build'; recipe: Recipe; namespace: string; lock?: FlakeUrl | 'nobody knows' }
  | { id: number; op: 'archive'; recipe: Recipe; program: ImageProgram; namespace: string }
  | { id: number; op: 'abort'; build: number }
  | { id: number; op: 'find'; recipe: Recipe }
  | { id: number; op: 'keepOnly'; keys: string[] }
  | { id: number; op: 'collectGarbage' }
  | ({ id: number; op: 'pathInfo'; paths: string[] } & Omit<PathQuery, 'signal'>)
  | { id: number; op: 'memory' }
  | { id: number; op: 'sharing' }

export type HostReply =
  | { id: number; progress: BuildProgress }
  | { id: number; done: HostDone }
  | { id: number; error: { code: ErrorCode; message: string; retryable: boolean } }

/** Line of the log when a build asks which content it should have. */
const ASKED_FOR_CONTENT = 'which content?'

export interface HostDone {
  readonly output?: BuildResult | undefined
  readonly infos?: readonly StorePathInfo[]
  readonly bytes?: number
  readonly text?: string
  readonly events?: readonly SharingEvent[]
}

const logger = pino(pino.destination({ dest: 2, sync: true }))
const aborts = new Map<number, AbortController>()

const { cluster, collection, ...options } = JSON.parse(process.argv[2] ?? '{}')
const fake = cluster && fakeSharing(cluster)
const creating = createBuilder({
  ...options,
  sharing: fake?.sharing,
  collection: collection && { ...collection, stopping: new AbortController().signal },
  logger,
})
creating.catch(() => {})

for await (const line of createInterface(process.stdin)) void answer(JSON.parse(line))

async function answer(request: HostRequest): Promise<void> {
  try {
    reply({ id: request.id, done: await handle(request) })
  } catch (thrown) {
    const { code, message, retryable } = toShimError(thrown)
    reply({ id: request.id, error: { code, message, retryable } })
  }
}

async function handle(request: HostRequest): Promise<HostDone> {
  const builder = await creating
  switch (request.op) {
    case 'build':
      return { output: await build(request) }
    case 'archive':
      return { text: await readArchive(request) }
    case 'abort':
      aborts.get(request.build)?.abort()
      return {}
    case 'find':
      return { output: await builder.findResult(request.recipe) }
    case 'keepOnly':
      await builder.keepOnly(new Set(request.keys))
      return {}
    case 'collectGarbage':
      await builder.collectGarbage({ isNew: true })
      return {}
    case 'pathInfo':
      return { infos: await builder.pathInfo(request.paths, { ...request, signal: new AbortController().signal }) }
    case 'sharing':
      return { events: fake.events }
    case 'memory':
      return { bytes: process.memoryUsage().rss }
  }
}

async function build({ id, recipe, namespace, lock }: Extract<HostRequest, { op: 'build' }>): Promise<BuildResult> {
  const controller = new AbortController()
  aborts.set(id, controller)
  const onProgress = (progress: BuildProgress) => reply({ id, progress })
  const call = { owners: ownedBy(namespace), signal: controller.signal, onProgress }
  if (lock === 'nobody knows') return (await creating).build(recipe, call)
  const findLock = async () => {
    if (lock) onProgress({ phase: 'log', line: ASKED_FOR_CONTENT })
    return lock
  }
  return (await creating).build(recipe, { ...call, findLock })
}

async function readArchive({
  id,
  recipe,
  program,
  namespace,
}: Extract<HostRequest, { op: 'archive' }>): Promise<string> {
  const { signal } = new AbortController()
  const onProgress = (progress: BuildProgress) => reply({ id, progress })
  const call = { recipe, owners: ownedBy(namespace), signal, onProgress }
  return (await creating).withArchive(program, call, path => readFile(path, 'utf8'))
}

function reply(message: HostReply): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}
