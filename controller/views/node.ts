import { isDeepStrictEqual } from 'node:util'
import * as v from 'valibot'
import type { Kind } from '../../kube/client/contract.ts'
import { conditionSchema } from '../../kube/resources/condition.ts'
import type { LabelMatcher } from '../../kube/resources/label-selector.ts'
import { metadataSchema } from '../../kube/resources/metadata.ts'
import { KEEP_NODE_ANNOTATION, KEPT_BY_US_ANNOTATION } from '../../kube/resources/names.ts'
import { nodeInfoSchema, systemOfNode } from '../../kube/resources/node-system.ts'
import type { ShimState } from './shim-lease.ts'
import { keepsOff, type Taint, type Toleration, taintSchema } from './taint.ts'

/** Conditions of a node that lacks something. */
const PRESSURES = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable']

/** The parts of a Node that the controller needs. */
export interface NodeView {
  readonly name: string
  readonly uid: string
  /** Nix system; undefined if Nix does not support it. */
  readonly system: string | undefined
  readonly ready: boolean
  /** Neither cordoned nor being deleted. */
  readonly schedulable: boolean
  /** The first condition that reports a lack, such as `DiskPressure`. */
  readonly pressure: string | undefined
  readonly taints: readonly Taint[]
  readonly labels: Readonly<Record<string, string>>
  readonly keep: KeepAnnotations
}

/** What the Node tells the cluster autoscaler. */
export interface KeepAnnotations {
  /** Of the autoscaler's annotation. */
  readonly value: string | undefined
  /** The controller has set it. */
  readonly byUs: boolean
}

/** Everything that decides whether a node may build. */
export interface NodeState {
  readonly name: string
  readonly system: string | undefined
  readonly ready: boolean
  readonly schedulable: boolean
  readonly pressure: string | undefined
  /** Key of the first taint that keeps builds off. */
  readonly taint: string | undefined
  /** Matched by `--node-repel`. */
  readonly repelled: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly shim: ShimState
  /** Its shim builds nothing: `nix.build: never`. */
  readonly fetchOnly: boolean
}

const schema = v.object({
  metadata: metadataSchema,
  spec: v.optional(
    v.object({ unschedulable: v.optional(v.boolean(), false), taints: v.optional(v.array(taintSchema), []) }),
    {},
  ),
  status: v.optional(
    v.object({
      conditions: v.optional(v.array(conditionSchema), []),
      nodeInfo: v.optional(nodeInfoSchema),
    }),
    {},
  ),
})

export const nodes: Kind<NodeView> = {
  apiVersion: 'v1',
  kind: 'Node',
  plural: 'nodes',
  namespaced: false,
  parse: object => viewOf(v.parse(schema, object)),
}

function viewOf({ metadata, spec, status }: v.InferOutput<typeof schema>): NodeView {
  const { labels } = metadata
  return {
    name: metadata.name,
    uid: metadata.uid,
    system: systemOfNode(labels, status.nodeInfo),
    ready: status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
    schedulable: !spec.unschedulable && metadata.deletionTimestamp === undefined,
    pressure: status.conditions.find(({ type, status }) => PRESSURES.includes(type) && status === 'True')?.type,
    taints: spec.taints,
    labels,
    keep: {
      value: metadata.annotations[KEEP_NODE_ANNOTATION],
      byUs: metadata.annotations[KEPT_BY_US_ANNOTATION] !== undefined,
    },
  }
}

/** Whether both lead to the same decisions. */
export function sameNodeState(a: NodeState | undefined, b: NodeState | undefined): boolean {
  return isDeepStrictEqual(a, b)
}

/** Flags that decide which nodes may build. */
export interface NodeRules {
  readonly repels: LabelMatcher
  readonly tolerations: readonly Toleration[]
}

export function nodeState(
  { name, system, ready, schedulable, pressure, taints, labels }: NodeView,
  { shim, fetchOnly, repels, tolerations }: NodeRules & Pick<NodeState, 'shim' | 'fetchOnly'>,
): NodeState {
  const taint = taints.find(taint => keepsOff(taint, tolerations))?.key
  return { name, system, ready, schedulable, pressure, taint, repelled: repels(labels), labels, shim, fetchOnly }
}
