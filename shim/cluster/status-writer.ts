import type { Logger } from 'pino'
import type { NixBuild } from '../../kube/resources/nixbuild.ts'
import { backOffMs } from '../../lib/async/retry.ts'
import { messageOf, ShimError } from '../../lib/errors.ts'
import type { FlakeRecipe } from '../../recipes/recipe.ts'
import type { Tries } from '../pull/contract.ts'
import { createAlarm } from './alarm.ts'
import { isUnclaimed } from './claim.ts'
import type { NixBuildStore } from './nixbuild-store.ts'
import { dueAt, type Told, telling } from './pace.ts'
import type { Run, RunFacts } from './run-status.ts'
import { statusChange } from './status.ts'

/** What one NixBuild is told: how the latest run of its recipe goes. It goes on trying until that is told. */
export interface Story {
  readonly namespace: string
  readonly recipe: FlakeRecipe
  /** From now on that run is told. */
  follow(run: Run): void
  /** It has ended without a run: told if there is a NixBuild. */
  conclude(facts: RunFacts): void
  /** Whether the NixBuild that the run was told to is there no more. One that nobody builds is claimed. Throws as `Kube` does. */
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
  readonly recipe: FlakeRecipe
  /** Of the NixBuild, when it is known. */
  readonly name?: string | undefined
  readonly store: NixBuildStore
  readonly node: string
  readonly now: () => number
  /** Whether anybody here waits for the recipe. */
  readonly isWanted: () => boolean
  /** Of whoever builds it because it is given to this node. */
  readonly tries: () => Tries | undefined
  /** Whether the NixBuild of a run is to be made when there is none. */
  readonly mayCreate: () => boolean
  /** Takes its turn among all stories. */
  readonly inTurn: (task: () => Promise<void>) => Promise<void>
  /** The NixBuild, as it is after something was told. */
  readonly onSeen: (live: NixBuild) => void
  /** The end has been told. */
  readonly onTold: () => void
  readonly logger: Logger
}

const LONGEST_PAUSE_MS = 10_000
/** When this node has the image and another is still at work on it, the other may yet fail. */
const ANOTHER_LOOK_MS = 10_000
/** What the API server refuses may be set right, but not by trying for ever. */
const MAX_REFUSALS = 10

/** What is told at present, and what came of it. */
interface Chapter {
  readonly facts: () => RunFacts
  readonly isRun: boolean
  told?: Told
  /** Of the NixBuild that it was told to. */
  uid?: string
}

export function createStory(plan: StoryPlan): Story {
  const { namespace, recipe, store, node, now, logger } = plan
  const alarm = createAlarm(tellInTurn, now)
  let { name } = plan
  let chapter: Chapter | undefined
  /** As it was seen last; undefined when that may not be true any more. */
  let live: NixBuild | undefined
  let seenAt = 0
  let failures = 0
  let retryAt = 0
  let isBusy = false
  let isOver = false
  let unfollow = () => {}

  function begin(next: Chapter): void {
    unfollow()
    chapter = next
    live = undefined
    schedule()
  }

  /** Whoever had the claim has lost it while the run goes on here. */
  function tellAnew(found: NixBuild): void {
    if (!chapter || isBusy || isOver) return
    live = found
    delete chapter.told
    schedule()
  }

  function schedule(): void {
    const due = chapter && !isBusy && !isOver ? dueAt(chapter.facts(), chapter.told) : undefined
    if (due !== undefined) alarm.set(Math.max(due, retryAt))
  }

  async function tellInTurn(): Promise<void> {
    const due = chapter && dueAt(chapter.facts(), chapter.told)
    if (!chapter || due === undefined || due > now()) return schedule()
    isBusy = true
    const told = chapter
    try {
      retryAt = 0
      await plan.inTurn(() => tell(told))
      failures = 0
    } catch (error) {
      failed(told, error)
    }
    isBusy = false
    if (chapter !== told) live = undefined
    if (chapter.told?.ended) plan.onTold()
    schedule()
  }

  async function tell(chapter: Chapter): Promise<void> {
    if (isOver) return
    const known = live
    live ??= await find(chapter)
    const run = chapter.facts()
    const asked = { node, now: now(), isWanted: plan.isWanted(), tries: plan.tries() }
    const change = live && statusChange({ live, run, ...asked })
    if (live && change) live = await store.change(live, change)
    if (live && live !== known) {
      seenAt = now()
      plan.onSeen(live)
    }
    if (run.ending?.kind === 'Succeeded' && live && live.status.status !== 'Succeeded') {
      live = undefined
      retryAt = now() + ANOTHER_LOOK_MS
    } else chapter.told = telling(run, chapter.told, now())
  }

  /** One that was there and is gone is not made again: its end says that nobody wants it. */
  async function find(chapter: Chapter): Promise<NixBuild | undefined> {
    const { ending } = chapter.facts()
    const isFirst = chapter.uid === undefined && ending?.kind !== 'CalledOff'
    const mayCreate = chapter.isRun && isFirst && plan.mayCreate()
    const query = { namespace, recipe, name }
    const found = (await store.find(query)) ?? (mayCreate ? await store.create(query) : undefined)
    if (!found) return undefined
    chapter.uid = found.metadata.uid
    name = found.metadata.name
    return found
  }

  /** Whatever it was, what is known of the NixBuild may be wrong. */
  function failed(chapter: Chapter, error: unknown): void {
    failures += 1
    live = undefined
    const code = error instanceof ShimError ? error.code : undefined
    const isRace = code === 'ClusterConflict'
    if (!isRace || failures > 1)
      logger.warn({ namespace, nixBuild: name, failures, err: messageOf(error) }, 'telling a NixBuild failed')
    if (code === 'ClusterRefused' && failures >= MAX_REFUSALS) {
      chapter.told = telling(chapter.facts(), chapter.told, now())
      failures = 0
    } else retryAt = now() + backOffMs(isRace ? failures : failures + 2, LONGEST_PAUSE_MS)
  }

  return {
    namespace,
    recipe,
    get seenAt() {
      return seenAt
    },
    get isTold() {
      return !isBusy && (chapter === undefined || chapter.told?.ended === true)
    },
    follow(run) {
      begin({ facts: run.facts, isRun: true })
      unfollow = run.onChange(schedule)
    },
    conclude: facts => begin({ facts: () => facts, isRun: false }),
    async isGone() {
      if (chapter?.uid === undefined || name === undefined) return false
      const found = await store.find({ namespace, recipe, name })
      if (!found) return true
      // Its successor may have another name.
      chapter.uid = found.metadata.uid
      name = found.metadata.name
      seenAt = now()
      if (isUnclaimed(found, node)) tellAnew(found)
      return false
    },
    end() {
      isOver = true
      alarm.clear()
      unfollow()
    },
  }
}
