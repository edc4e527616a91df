import { join } from 'node:path'
import { PATIENCE } from '../patience.ts'
import type { Cluster } from './cluster.ts'

const OVERLAY = join(import.meta.dirname, 'deploy')

/** Applies `deploy/` without a running controller, and waits until the API server accepts its kinds. */
export async function installDeploy({ kubectl }: Pick<Cluster, 'kubectl'>): Promise<void> {
  await kubectl(['apply', '--server-side', '--kustomize', OVERLAY])
  const crds = ['crd/nixbuilds.enbi.hrzn.ee', 'crd/nixnodes.enbi.hrzn.ee']
  await kubectl(['wait', '--for=condition=Established', ...crds, `--timeout=${PATIENCE}`])
}
