import * as v from 'valibot'
import type { Kind } from '../client/contract.ts'
import { conditionSchema } from './condition.ts'
import { labelSelectorSchema } from './label-selector.ts'
import { metadataSchema } from './metadata.ts'
import { CONTROLLER, MANAGED_BY_LABEL, SHIM } from './names.ts'

export const NIXBUILD_PHASES = ['Pending', 'Building', 'Importing', 'Succeeded', 'Failed'] as const
export type NixBuildPhase = (typeof NIXBUILD_PHASES)[number]

/**
 * Limits of the CRD (deploy/crd): the API server rejects a status that exceeds them. Texts in characters, lists in
 * entries.
 */
export const NIXBUILD_LIMITS = {
  /** Of a condition's `message`, and of `logTail`. */
  message: 8_192,
  progress: 1_024,
  /** Of an attempt's `reason`. */
  reason: 1_024,
  /** Of `ready`, `building`, `failed`, `selected` and `missing`. */
  namedNodes: 5,
  attempts: 20,
} as const

const text = v.string()
const optionalText = v.optional(text)

/** What to build, and the name of the image. */
export const recipeSchema = v.object({
  flakeUrl: text,
  imageTag: text,
  /** Either this or `contents`. */
  packageName: optionalText,
  contents: v.optional(v.array(text)),
  /** Nix system. Always present, as the API server has no default for it. */
  system: text,
})

const specSchema = v.object({
  ...recipeSchema.entries,
  /** Labels of the nodes that the controller may give the build to. Not part of the recipe. */
  nodeSelector: v.optional(v.record(text, text)),
  /** The nodes that get the image before any pod asks for it. Not part of the recipe, and the only part that may change. */
  nodes: v.optional(labelSelectorSchema),
})

/** How many nodes there are, and the names of a few. */
const nodeCountSchema = v.object({ count: v.number(), nodes: v.optional(v.array(text), []) })

/** A node that the build was assigned to and that lost it. */
const attemptSchema = v.object({
  node: text,
  /** RFC 3339. */
  endTime: text,
  reason: text,
})

const statusSchema = v.object({
  status: v.optional(v.picklist(NIXBUILD_PHASES)),
  observedGeneration: v.optional(v.number()),
  conditions: v.optional(v.array(conditionSchema), []),
  /** The node that built it first, or that is building or importing it now. */
  buildNode: optionalText,
  /** Id of the run, which also names its log file on the node. */
  buildJobName: optionalText,
  /** Image id: the config digest, `sha256:<hex>`. */
  imageDigest: optionalText,
  /** In bytes, as reported by CRI. */
  imageSize: v.optional(v.number()),
  storePath: optionalText,
  lockedFlakeUrl: optionalText,
  startTime: optionalText,
  completionTime: optionalText,
  /** For people, such as `building 3 of 7: hello-2.12`. */
  progress: optionalText,
  /** The last lines of the log of a build that lasts, has lasted or has failed. */
  logTail: optionalText,
  /** Nodes that have the image. */
  ready: v.optional(nodeCountSchema),
  /** Nodes that build or import it. */
  building: v.optional(nodeCountSchema),
  /** Nodes that could not build it. */
  failed: v.optional(nodeCountSchema),
  /** Nodes that `nodes` of the spec selects. */
  selected: v.optional(nodeCountSchema),
  /** Those of them that do not have the image. */
  missing: v.optional(nodeCountSchema),
  attempts: v.optional(v.array(attemptSchema), []),
})

const { annotations: _, ...metadataEntries } = metadataSchema.entries

/** Users choose the annotations and labels of NixBuilds, so unused ones are not kept in memory. */
const nixBuildSchema = v.object({
  metadata: v.object({
    ...metadataEntries,
    labels: v.pipe(metadataEntries.labels, v.transform(ourLabels)),
  }),
  spec: specSchema,
  status: v.optional(statusSchema, {}),
})

function ourLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => key === MANAGED_BY_LABEL))
}

/** Names of all fields that are read or written. */
export const NIXBUILD_FIELDS = { spec: Object.keys(specSchema.entries), status: Object.keys(statusSchema.entries) }

export type NixBuildRecipe = v.InferOutput<typeof recipeSchema>
export type NixBuildSpec = v.InferOutput<typeof specSchema>
export type NixBuildStatus = v.InferOutput<typeof statusSchema>
export type NodeCount = v.InferOutput<typeof nodeCountSchema>
export type NixBuildAttempt = v.InferOutput<typeof attemptSchema>
export type NixBuild = v.InferOutput<typeof nixBuildSchema>

export const nixBuilds: Kind<NixBuild> = {
  apiVersion: 'enbi.hrzn.ee/v1alpha1',
  kind: 'NixBuild',
  plural: 'nixbuilds',
  namespaced: true,
  parse: object => v.parse(nixBuildSchema, object),
}

export function isFinished(phase: NixBuildPhase | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

/** A node that has been chosen need not know how. */
export function recipeOnly({ nodeSelector: _, nodes: __, ...recipe }: NixBuildSpec): NixBuildRecipe {
  return recipe
}

export type Creator = 'shim' | 'controller' | 'hand'

/** Other tools set this label to other values. */
export function creatorOf({ metadata }: Pick<NixBuild, 'metadata'>): Creator {
  const managedBy = metadata.labels[MANAGED_BY_LABEL]
  if (managedBy === SHIM) return 'shim'
  return managedBy === CONTROLLER ? 'controller' : 'hand'
}

/** Whether the NixBuild was created for pods, not by hand. */
export function isCreatedForPods(nixBuild: Pick<NixBuild, 'metadata'>): boolean {
  return creatorOf(nixBuild) !== 'hand'
}
