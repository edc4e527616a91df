import type { NodeBuild } from '../../../kube/resources/nixnode.ts'
import { recipeKey } from '../../../recipes/recipe.ts'
import type { ImageRequest } from '../../pull/contract.ts'
import { type BoundedBuild, BUILDS_ROOM, findExcessBuilds, findExcessLogs } from './bound-builds.ts'
import { withoutLog } from './describe-build.ts'
import type { ReportedRun, ReportedRunState } from './reported-run.ts'
import { createTrackedBuild, type TrackedBuild } from './tracked-build.ts'

/** What this node works on and has, by namespace and recipe. */
export interface NodeBuilds {
  join(request: ImageRequest): void
  leave(request: ImageRequest): void
  /** The pod of a request that is about to end is expected to ask again, until the returned function is called. */
  expect(request: ImageRequest): () => void
  /** A request joined a run. */
  follow(request: ImageRequest, run: ReportedRun): void
  /** A request is about to end without a run. */
  conclude(request: ImageRequest, state: ReportedRunState): void
  /** An assigned build is not wanted any more: it has no further attempt. */
  withdraw(request: ImageRequest): void
  /** Shows a failure that belongs to no request. */
  fail(build: NodeBuild): void
  /** A run of this recipe has made its image. */
  imageMade(recipeKey: string, state: ReportedRunState): void
  /** The images that are present. */
  present(): NodeBuild[]
  /** Adds images that an earlier shim made. */
  restore(builds: readonly NodeBuild[]): void
  /** Forgets images for whose recipe this returns false. */
  retain(isPresent: (recipeKey: string) => boolean): void
  /** When the next write is due, in milliseconds since 1970; undefined if there is nothing new. */
  dueAt(): number | undefined
  /** What there is to report now, within the limits. Results beyond them are forgotten. */
  snapshot(): BuildsSnapshot
  /** Calls the listener after each change, which is often. */
  onChange(listener: () => void): void
}

export interface BuildsSnapshot {
  readonly builds: readonly NodeBuild[]
  /** The builds have been written. */
  written(at: number): void
}

export interface NodeBuildsOptions {
  readonly node: string
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** The images that are present have changed. */
  readonly onPresent: () => void
}

interface SourcedBuild extends BoundedBuild {
  readonly source: TrackedBuild
}

/** In characters: the limit of a namespace's name. Callers other than the kubelet name any namespace. */
const MAX_NAMESPACE = 63

export function createNodeBuilds({ node, now, onPresent }: NodeBuildsOptions): NodeBuilds {
  const tracked = new Map<string, TrackedBuild>()
  /** Those that have changed since the latest write. */
  const changed = new Set<TrackedBuild>()
  const listeners = new Set<() => void>()
  const results = new Map<TrackedBuild, NodeBuild>()

  function track(namespace: string, key: string): TrackedBuild {
    const id = idOf(namespace, key)
    const known = tracked.get(id)
    if (known) return known
    const build = createTrackedBuild({ namespace, key, node, now, onChange: () => onChange(id, build) })
    tracked.set(id, build)
    return build
  }

  function find({ namespace, recipe }: ImageRequest): TrackedBuild | undefined {
    return tracked.get(idOf(namespace, recipeKey(recipe)))
  }

  function onChange(id: string, build: TrackedBuild): void {
    // A promise may outlive what it was about.
    if (tracked.get(id) !== build) return
    if (build.isIdle) {
      tracked.delete(id)
      changed.delete(build)
    } else changed.add(build)
    noteResult(build)
    for (const listener of listeners) listener()
  }

  function noteResult(build: TrackedBuild): void {
    const before = results.get(build)
    const { result } = build
    if (before === result) return
    if (result) results.set(build, result)
    else results.delete(build)
    if (results.size > BUILDS_ROOM.count) forgetExcess()
    if (before?.state === 'Present' || result?.state === 'Present') onPresent()
  }

  function forgetExcess(): void {
    for (const { source, isActive } of findExcessBuilds(describeAll())) if (!isActive) source.setResult(undefined)
  }

  function describeAll(): SourcedBuild[] {
    const excess = findExcessLogs(describeEach())
    for (const { source } of excess) source.dropLog()
    return describeEach()
  }

  function describeEach(): SourcedBuild[] {
    return [...tracked.values()].flatMap(source => {
      const build = source.describe()
      return build ? { source, build, isActive: source.isActive, changedAt: source.changedAt } : []
    })
  }

  return {
    join(request) {
      if (isNamespace(request.namespace)) track(request.namespace, recipeKey(request.recipe)).join(request)
    },
    leave: request => find(request)?.leave(request),
    expect: request => find(request)?.expect(request) ?? (() => {}),
    follow: (request, run) => find(request)?.follow(run),
    conclude: (request, state) => find(request)?.conclude(state),
    withdraw: request => find(request)?.withdraw(),
    fail: build => track(build.namespace, build.key).setResult(build),
    imageMade(key, state) {
      for (const build of tracked.values())
        if (build.result?.state === 'Present' && build.result.key === key) build.conclude(state)
    },
    present: () => [...results.values()].filter(({ state }) => state === 'Present').map(withoutLog),
    restore(builds) {
      for (const build of builds) {
        const known = track(build.namespace, build.key)
        if (!known.result) known.setResult(build)
      }
    },
    retain(isPresent) {
      for (const [build, { key, state }] of [...results])
        if (state === 'Present' && !isPresent(key)) build.setResult(undefined)
    },
    dueAt() {
      const due = [...changed].map(build => build.dueAt()).filter(at => at !== undefined)
      return due.length > 0 ? Math.min(...due) : undefined
    },
    snapshot() {
      const all = describeAll()
      const excess = new Set(findExcessBuilds(all))
      const kept = all.filter(one => one.isActive || !excess.has(one))
      for (const { source, isActive } of excess) if (!isActive) source.setResult(undefined)
      // Work beyond the limits counts as written: it has no place until others are done, which is a change.
      const described = new Map(kept.map(({ source, build }) => [source, build]))
      return {
        builds: kept.filter(one => !excess.has(one)).map(({ build }) => build),
        written(at) {
          for (const [id, build] of tracked) {
            build.written(described.get(build), at)
            if (build.dueAt() === undefined) changed.delete(build)
            if (build.isIdle) tracked.delete(id)
          }
        },
      }
    },
    onChange: listener => void listeners.add(listener),
  }
}

function idOf(namespace: string, key: string): string {
  return `${namespace}/${key}`
}

function isNamespace(namespace: string): boolean {
  return namespace !== '' && namespace.length <= MAX_NAMESPACE
}
