import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import * as v from 'valibot'
import { inject, type ProvidedContext } from 'vitest'
import { AccessSchema } from './access.ts'
import { type Cluster, connectCluster } from './cluster.ts'
import { keepingNodes, type WholeCluster } from './whole-cluster.ts'

const Answer = v.union([v.object({ access: AccessSchema }), v.object({ error: v.string() })])

/**
 * The cluster that all test files share: its control plane runs as long as vitest. A test works in Kubernetes namespaces and on
 * nodes of its own; both go when what is returned is disposed of.
 */
export function useCluster(): Promise<Cluster> {
  return join('sharedControlPlane')
}

/**
 * The cluster with a controller that all test files share which make no NixBuilds by hand: these would be assigned to nodes of other
 * files.
 */
export async function useWholeCluster(): Promise<WholeCluster> {
  const cluster = await join('sharedLedControlPlane')
  const kept = new AsyncDisposableStack()
  kept.use(cluster)
  return { ...cluster, ...keepingNodes(cluster, kept) }
}

async function join(which: keyof ProvidedContext): Promise<Cluster> {
  const answer = v.parse(Answer, JSON.parse(await text(connect(inject(which)))))
  if ('error' in answer) throw new Error(`the shared control plane did not start: ${answer.error}`)
  return connectCluster(answer.access)
}
