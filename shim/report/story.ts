import type { Logger } from 'pino'
import { backOffMs } from '../../kube/backoff.ts'
import type { NixBuild } from '../../kube/nixbuild.ts'
import type { Recipe } from '../build/recipe.ts'
import { messageOf, ShimError } from '../errors.ts'
import type { NixBuildStore } from './nixbuild-store.ts'
import { dueAt, type Told, telling } from './pace.ts'
import type { Run, RunFacts } from './run.ts'
import { statusChange } from './status.ts'

/** What one NixBuild is told: how the latest run of its recipe goes. It goes on trying until that is told. */
export interface Story {
  readonly namespace: string
  readonly recipe: Recipe
  /** The NixBuild as it was seen last; undefined before that, and when it is gone. */
  readonly live: NixBuild | undefined
  /** From now on that run is told; the NixBuild is made when there is none. */
  follow(run: Run): void
  /** It has ended without a run: told if there is a NixBuild. */
  conclude(facts: RunFacts): void
  /** Whether the cluster has seen the NixBuild and it is there no more. Throws as `Kube` does. */
  isGone(): Promise<boolean>
  /** When the NixBuild was seen last, in milliseconds since 1970. */
  readonly seenAt: number
  /** Whether the end of the run has been told, or there was none. */
  readonly isTold: boolean
  /** Tells no more. */
  end(): void
}

export interface StoryPlan {
  readonly namespace: string
  readonly recipe: Recipe
  /** Of the NixBuild, when it is known. */
  readonly name?: string | undefined
  readonly store: NixBuildStore
  readonly node: string
  readonly now: () => number
  /** Takes its turn among all stories. */
  readonly inTurn: <T>(task: () => Promise<T>) => Promise<T>
  /** All there is to tell has been told. */
  readonly onTold: (live: NixBuild | undefined, facts: RunFacts) => void
  readonly logger: Logger
}

const LONGEST_PAUSE_MS = 10_000
/** What the API server refuses may be set right, but not by trying for ever. */
const MAX_REFUSALS = 10

export function createStory(plan: StoryPlan): Story {
  const { namespace, recipe, store, node, now, logger } = plan
  let { name } = plan
  let facts: (() => RunFacts) | undefined
  let mayCreate = false
  let live: NixBuild | undefined
  /** Of the NixBuild that this run was told of. */
  let seenUid: string | undefined
  let seenAt = 0
  let told: Told | undefined
  let failures = 0
  let retryAt = 0
  let busy = false
  let ended = false
  let timer: NodeJS.Timeout | undefined
  let timerAt = Number.POSITIVE_INFINITY
  let unfollow = () => {}

  function schedule(): void {
    const due = facts && !busy && !ended ? dueAt(facts(), told) : undefined
    if (due === undefined) return
    const at = Math.max(due, retryAt)
    if (timer && timerAt <= at) return
    clearTimeout(timer)
    timerAt = at
    timer = setTimeout(tellInTurn, Math.max(0, at - now()))
  }

  function tellInTurn(): void {
    timer = undefined
    const due = facts && dueAt(facts(), told)
    if (due === undefined || due > now()) {
      schedule()
      return
    }
    busy = true
    plan
      .inTurn(tell)
      .then(succeeded, failed)
      .finally(() => {
        busy = false
        if (facts?.().ending && told?.ended) plan.onTold(live, facts())
        schedule()
      })
  }

  async function tell(): Promise<void> {
    if (!facts || ended) return
    const source = facts
    live ??= await find()
    const said = facts()
    const change = live && statusChange({ live, run: said, node, now: now() })
    if (live && change) live = await store.change(live, change)
    if (live) seenAt = now()
    if (source === facts) told = telling(said, told, now())
  }

  /** One that was there in this run and is gone is not made again: its end says that nobody wants it. */
  async function find(): Promise<NixBuild | undefined> {
    const found =
      (await store.find({ namespace, recipe, name })) ?? (mayCreate && !seenUid ? await create() : undefined)
    seenUid = found?.metadata.uid ?? seenUid
    name = found?.metadata.name ?? name
    return found
  }

  function create(): Promise<NixBuild> | undefined {
    return facts?.().ending?.kind === 'CalledOff' ? undefined : store.create({ namespace, recipe })
  }

  function succeeded(): void {
    failures = 0
    retryAt = 0
  }

  /** Whatever it was, what is known of the NixBuild may be wrong. */
  function failed(err: unknown): void {
    failures += 1
    live = undefined
    const code = err instanceof ShimError ? err.code : undefined
    const isConflict = code === 'ClusterConflict'
    if (!isConflict || failures > 1)
      logger.warn({ namespace, nixBuild: name, failures, err: messageOf(err) }, 'telling a NixBuild failed')
    if (code === 'ClusterRefused' && failures >= MAX_REFUSALS && facts) {
      told = telling(facts(), told, now())
      failures = 0
    } else retryAt = now() + backOffMs(isConflict ? failures : failures + 2, LONGEST_PAUSE_MS)
  }

  function restart(source: () => RunFacts): void {
    unfollow()
    unfollow = () => {}
    facts = source
    told = undefined
    live = undefined
    seenUid = undefined
  }

  return {
    namespace,
    recipe,
    get live() {
      return live
    },
    get seenAt() {
      return seenAt
    },
    get isTold() {
      return !busy && (facts === undefined || told?.ended === true)
    },
    follow(run) {
      restart(run.facts)
      mayCreate = true
      unfollow = run.onChange(schedule)
      schedule()
    },
    conclude(facts) {
      restart(() => facts)
      mayCreate = false
      schedule()
    },
    async isGone() {
      if (seenUid === undefined || name === undefined) return false
      if (!(await store.get(namespace, name))) return true
      seenAt = now()
      return false
    },
    end() {
      ended = true
      clearTimeout(timer)
      unfollow()
    },
  }
}
