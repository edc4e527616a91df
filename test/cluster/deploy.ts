import { join } from 'node:path'
import { PATIENCE } from '../patience.ts'
import type { Cluster } from './cluster.ts'

const OVERLAY = join(import.meta.dirname, 'deploy')

/** Applies `deploy/` without a running controller, and waits until the API server accepts NixBuilds. */
export async function installDeploy({ kubectl }: Pick<Cluster, 'kubectl'>): Promise<void> {
  await kubectl(['apply', '--server-side', '--kustomize', OVERLAY])
  await kubectl(['wait', '--for=condition=Established', 'crd/nixbuilds.enbi.hrzn.ee', `--timeout=${PATIENCE}`])
}
