import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import * as v from 'valibot'
import { inject, type ProvidedContext } from 'vitest'
import { AccessSchema } from './access.ts'
import { type Cluster, connectCluster } from './cluster.ts'
import { endNodesWith, type WholeCluster } from './whole-cluster.ts'

const Answer = v.union([v.object({ access: AccessSchema }), v.object({ error: v.string() })])

/**
 * The cluster that all test files share, with a control plane that runs as long as vitest. A test works in its own
 * Kubernetes namespaces and on its own nodes. Disposing the result deletes them.
 */
export function useCluster(): Promise<Cluster> {
  return join('sharedControlPlane')
}

/**
 * The shared cluster with a controller. A test must not create NixBuilds on it, because the controller would assign
 * them to nodes of other test files.
 */
export async function useWholeCluster(): Promise<WholeCluster> {
  const cluster = await join('sharedControlPlaneWithController')
  const kept = new AsyncDisposableStack()
  kept.use(cluster)
  return { ...cluster, ...endNodesWith(cluster, kept) }
}

async function join(which: keyof ProvidedContext): Promise<Cluster> {
  const answer = v.parse(Answer, JSON.parse(await text(connect(inject(which)))))
  if ('error' in answer) throw new Error(`the shared control plane did not start: ${answer.error}`)
  return connectCluster(answer.access)
}
