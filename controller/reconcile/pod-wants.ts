import { type FlakeRecipe, recipeKey } from '../../shim/build/recipe.ts'
import { FinalError } from '../../shim/errors.ts'
import { quote } from '../../shim/quote.ts'
import { recipeFinder } from '../../shim/recipes/find-recipe.ts'
import type { PodView } from '../kinds/pod.ts'

/** One image that a pod wants built on its node. */
export interface Want {
  readonly key: string
  readonly recipe: FlakeRecipe
  /** A container of the pod was made from it: it is there, whatever a NixBuild says. */
  readonly started: boolean
}

/** Why one of a pod's images will not be built. */
export interface Problem {
  /** Of the Event. */
  readonly reason: 'NixBuildInvalid' | 'NixBuildUnsupported'
  readonly message: string
}

export interface PodWants {
  readonly wants: readonly Want[]
  readonly problems: readonly Problem[]
}

/** Each of them is an Event, and images are named without any check. */
const MAX_PROBLEMS = 10

const NOTHING: PodWants = { wants: [], problems: [] }

/** What the annotations of a pod on a node of that system ask for. Nothing when it has no node, or an end. */
export function podWants(pod: PodView, system: string | undefined): PodWants {
  if (!pod.living || pod.node === undefined || system === undefined) return NOTHING
  const find = recipeFinder({ annotations: pod.annotations, system })
  const wants = new Map<string, Want>()
  const problems = new Map<string, Problem>()
  for (const image of pod.images) {
    const found = wantOf(image, { pod, system, find })
    if (found === undefined) continue
    if ('message' in found) problems.set(found.message, found)
    // Two spellings of one image.
    else if (!wants.get(found.key)?.started) wants.set(found.key, found)
  }
  if (wants.size + problems.size === 0) return NOTHING
  return { wants: [...wants.values()], problems: [...problems.values()].slice(0, MAX_PROBLEMS) }
}

interface Reading {
  readonly pod: PodView
  readonly system: string
  readonly find: ReturnType<typeof recipeFinder>
}

function wantOf(image: string, { pod, system, find }: Reading): Want | Problem | undefined {
  try {
    const recipe = find(image)
    if (recipe === undefined) return undefined
    if (recipe.system !== system) return unsupported(recipe, pod, system)
    return { key: recipeKey(recipe), recipe, started: pod.startedImages.includes(image) }
  } catch (error) {
    if (!(error instanceof FinalError)) throw error
    return { reason: 'NixBuildInvalid', message: error.message }
  }
}

function unsupported(recipe: FlakeRecipe, { node }: PodView, system: string): Problem {
  return {
    reason: 'NixBuildUnsupported',
    message: `the image ${quote(recipe.image)} is for ${recipe.system}, and node ${node} is ${system}: let the pod run on a node of that system, or change its annotation`,
  }
}
