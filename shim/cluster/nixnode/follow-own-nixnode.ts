import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { Kube } from '../../../kube/client/contract.ts'
import { createMirror } from '../../../kube/mirror.ts'
import type { NixNodeSpec } from '../../../kube/resources/nixnode.ts'
import { type AssignedBuildsOptions, createAssignedBuilds } from './assigned-builds.ts'
import type { NixNodeWriter } from './nixnode-writer.ts'
import { ownNixNodes } from './own-nixnode.ts'

/** The part of this node's NixNode that others write. */
export interface OwnNixNode {
  readonly uid: string
  readonly generation: number
  readonly spec: NixNodeSpec
}

export interface FollowOptions extends Pick<AssignedBuildsOptions, 'pullImage' | 'withdrawn' | 'unreadable'> {
  readonly kube: Pick<Kube, 'watch'>
  readonly node: string
  readonly writer: Pick<NixNodeWriter, 'observed' | 'rewrite'>
  readonly letGo: (pods: readonly string[]) => void
  readonly onNixNode: (nixNode: OwnNixNode) => void
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** After a change of builds or pods, in milliseconds. Others concern all nodes together, and wait for other news. */
const OBSERVED_AFTER_MS = 1000

/**
 * Does what the spec of this node's NixNode says, until the signal aborts. A watch by name is the only one that the API
 * server dispatches by an index.
 */
export async function followOwnNixNode(options: FollowOptions): Promise<void> {
  const { kube, node, writer, letGo, onNixNode, signal, logger } = options
  const builds = createAssignedBuilds(options)
  let known: OwnNixNode | undefined

  function obey(): void {
    const own = mirror.get(node)
    if (!own || (known && own.uid !== known.uid)) writer.rewrite()
    if (!own) return
    const hasWork = !known || !isDeepStrictEqual(workOf(own), workOf(known))
    known = own
    onNixNode(own)
    writer.observed(own.generation, hasWork ? OBSERVED_AFTER_MS : undefined)
    letGo(own.spec.letGo)
    builds.update(own.spec.assigned)
  }

  const mirror = createMirror({
    ...{ kube, signal, logger },
    kind: ownNixNodes,
    selection: { fieldSelector: `metadata.name=${node}` },
    project: ({ metadata: { uid, generation }, spec }) => ({ uid, generation, spec }),
    // A change may come before the mirror exists.
    onChange: () => queueMicrotask(obey),
  })
  await mirror.synced()
  if (!signal.aborted) obey()
  await mirror.ended
}

function workOf({ spec: { assigned, letGo } }: OwnNixNode): Pick<NixNodeSpec, 'assigned' | 'letGo'> {
  return { assigned, letGo }
}
