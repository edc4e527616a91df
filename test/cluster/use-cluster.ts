import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import * as v from 'valibot'
import { inject } from 'vitest'
import { AccessSchema } from './access.ts'
import { type Cluster, connectCluster } from './cluster.ts'

const Answer = v.union([v.object({ access: AccessSchema }), v.object({ error: v.string() })])

/**
 * The cluster that all test files share: its control plane runs as long as vitest. A test works in Kubernetes namespaces and on
 * nodes of its own; both go when what is returned is disposed of.
 */
export async function useCluster(): Promise<Cluster> {
  const answer = v.parse(Answer, JSON.parse(await text(connect(inject('sharedControlPlane')))))
  if ('error' in answer) throw new Error(`the shared control plane did not start: ${answer.error}`)
  return connectCluster(answer.access)
}
