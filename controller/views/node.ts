import * as v from 'valibot'
import type { Kind } from '../../kube/client/contract.ts'
import { conditionSchema } from '../../kube/resources/condition.ts'
import { metadataSchema } from '../../kube/resources/metadata.ts'
import type { ShimState } from './shim-lease.ts'

/** Nix's names of processors, by Go's. */
const CPUS: ReadonlyMap<string | undefined, string> = new Map([
  ['amd64', 'x86_64'],
  ['arm64', 'aarch64'],
  ['arm', 'armv7l'],
  ['386', 'i686'],
  ['loong64', 'loongarch64'],
  ['mips64le', 'mips64el'],
  ['ppc64le', 'powerpc64le'],
  ['riscv64', 'riscv64'],
  ['s390x', 's390x'],
])

/** The parts of a Node that the controller needs. */
export interface NodeView {
  readonly name: string
  readonly uid: string
  /** Nix system; undefined if Nix does not support it. */
  readonly system: string | undefined
  readonly ready: boolean
  /** Neither cordoned nor being deleted. */
  readonly schedulable: boolean
  readonly labels: Readonly<Record<string, string>>
}

/** Everything that decides whether a node may build. */
export interface NodeState {
  readonly name: string
  readonly system: string | undefined
  readonly ready: boolean
  readonly schedulable: boolean
  /** Matched by `--node-repel`. */
  readonly repelled: boolean
  readonly shim: ShimState
}

const schema = v.object({
  metadata: metadataSchema,
  spec: v.optional(v.object({ unschedulable: v.optional(v.boolean(), false) }), {}),
  status: v.optional(
    v.object({
      conditions: v.optional(v.array(conditionSchema), []),
      nodeInfo: v.optional(
        v.object({ architecture: v.optional(v.string(), ''), operatingSystem: v.optional(v.string(), '') }),
      ),
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
    system: nixSystem({
      architecture: labels['kubernetes.io/arch'] ?? status.nodeInfo?.architecture,
      os: labels['kubernetes.io/os'] ?? status.nodeInfo?.operatingSystem,
    }),
    ready: status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
    schedulable: !spec.unschedulable && metadata.deletionTimestamp === undefined,
    labels,
  }
}

/** Nix system of a node, from its `kubernetes.io/arch` and `kubernetes.io/os`; undefined if Nix does not support it. */
export function nixSystem({
  architecture,
  os,
}: {
  readonly architecture: string | undefined
  readonly os: string | undefined
}): string | undefined {
  const cpu = CPUS.get(architecture)
  return cpu !== undefined && (os === undefined || os === '' || os === 'linux') ? `${cpu}-linux` : undefined
}

/** Whether both lead to the same decisions. */
export function sameNodeState(a: NodeState | undefined, b: NodeState | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return (
    a.system === b.system &&
    a.ready === b.ready &&
    a.schedulable === b.schedulable &&
    a.repelled === b.repelled &&
    a.shim === b.shim
  )
}

export function nodeState(
  { name, system, ready, schedulable, labels }: NodeView,
  { shim, repels }: { readonly shim: ShimState; readonly repels: (labels: NodeView['labels']) => boolean },
): NodeState {
  return { name, system, ready, schedulable, repelled: repels(labels), shim }
}
