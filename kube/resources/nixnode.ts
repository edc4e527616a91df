import * as v from 'valibot'
import type { Kind } from '../client/contract.ts'
import { metadataSchema } from './metadata.ts'
import { recipeSchema } from './nixbuild.ts'

/** What a node does about a recipe. `Present`: the image is there. */
export const NODE_BUILD_STATES = ['Queued', 'Building', 'Importing', 'Present', 'Failed'] as const
export type NodeBuildState = (typeof NODE_BUILD_STATES)[number]

/**
 * Limits of the CRD (deploy/crd): the API server rejects what exceeds them. Texts in characters, lists in entries.
 */
export const NIXNODE_LIMITS = {
  builds: 250,
  message: 1_024,
  logTail: 4_096,
  progress: 256,
  /** Waiting pods of one build: those of a node, which by default has at most 110. */
  pods: 256,
  assigned: 1_000,
  letGo: 1_000,
  namespaces: 1_000,
} as const

/** In `spec.namespaces`. */
export const ALL_NAMESPACES = '*'

const text = v.string()
const optionalText = v.optional(text)

/** A NixBuild that this node builds although no pod of it pulls the image. */
const assignedSchema = v.object({
  namespace: text,
  name: text,
  /** The `recipeKey`, for a shim that cannot read the recipe. Older controllers do not write it. */
  key: optionalText,
  recipe: recipeSchema,
})

export const nixNodeSpecSchema = v.object({
  assigned: v.optional(v.array(assignedSchema), []),
  /** UIDs of pods that have been deleted: their pulls end, even if other pods want the image. */
  letGo: v.optional(v.array(text), []),
  /**
   * Namespaces with NixBuilds made by hand, the only ones in which a pull without a recipe looks for one; `*` stands for
   * all. Missing until a controller has written it: all.
   */
  namespaces: v.optional(v.array(text)),
})

const podSchema = v.object({ name: text, uid: text })

/** One recipe in one namespace, as the node sees it. */
export const nodeBuildSchema = v.object({
  namespace: text,
  /** The `recipeKey`. */
  key: text,
  /** Name of the NixBuild, if the node knows it. */
  nixBuild: optionalText,
  /** Missing once the image is present, if the node has told it before. */
  recipe: v.optional(recipeSchema),
  state: v.picklist(NODE_BUILD_STATES),
  /** Since when the node is in this state; RFC 3339. */
  since: text,
  /** When the node began; RFC 3339. */
  startTime: optionalText,
  /** For people. */
  progress: optionalText,
  /** Id of the run, which also names its log file on the node. */
  buildJobName: optionalText,
  /** Image id: the config digest, `sha256:<hex>`. */
  imageDigest: optionalText,
  /** In bytes, as reported by CRI. */
  imageSize: v.optional(v.number()),
  storePath: optionalText,
  lockedFlakeUrl: optionalText,
  /** Why it failed, or what it waits for. */
  message: optionalText,
  /** Another attempt may succeed. */
  retryable: v.optional(v.boolean()),
  /** The last lines of the log of a build that lasts or has failed, and for a while of one that has lasted. */
  logTail: optionalText,
  /** Attempts of an assigned build so far. */
  attempts: v.optional(v.number()),
  /** Pods whose pulls wait for it, or will be repeated. */
  pods: v.optional(v.array(podSchema), []),
})

/** How other nodes get what this node has. */
const storeOfNode = v.object({
  /** URL of the binary cache that serves the node's store; missing: nobody copies from it. */
  address: optionalText,
  /** `NAME:BASE64`, as Nix prints it. */
  publicKey: optionalText,
  /** Nodes that may copy from it at the same time. */
  maxServed: v.optional(v.number()),
  /** It builds nothing: what its pods need is built by other nodes. */
  fetchOnly: v.optional(v.boolean()),
})

const statusOfNode = v.object({
  /** Of the spec that the shim has read. */
  observedGeneration: v.optional(v.number()),
  shimVersion: optionalText,
  system: optionalText,
  layerMode: optionalText,
  /** Missing if the node shares nothing. */
  store: v.optional(storeOfNode),
  builds: v.optional(v.array(nodeBuildSchema), []),
})

const nixNodeSchema = v.object({
  metadata: metadataSchema,
  spec: v.optional(nixNodeSpecSchema, {}),
  status: v.optional(statusOfNode, {}),
})

/** Names of all fields that are read or written. */
export const NIXNODE_FIELDS = {
  spec: Object.keys(nixNodeSpecSchema.entries),
  status: Object.keys(statusOfNode.entries),
}

export type NixNodeSpec = v.InferOutput<typeof nixNodeSpecSchema>
export type NixNodeStatus = v.InferOutput<typeof statusOfNode>
export type NodeStore = v.InferOutput<typeof storeOfNode>
export type NodeBuild = v.InferOutput<typeof nodeBuildSchema>
export type AssignedBuild = v.InferOutput<typeof assignedSchema>
export type NixNode = v.InferOutput<typeof nixNodeSchema>

/** One object per node: `spec` is the controller's, `status` that node's shim's. It has the name of its Node. */
export const nixNodes: Kind<NixNode> = {
  apiVersion: 'enbi.hrzn.ee/v1alpha1',
  kind: 'NixNode',
  plural: 'nixnodes',
  namespaced: false,
  parse: object => v.parse(nixNodeSchema, object),
}
