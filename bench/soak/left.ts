import { readFileSync, readlinkSync } from 'node:fs'
import type { Kube } from '../../kube/client/contract.ts'
import { type NixBuild, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { nixNodes } from '../../kube/resources/nixnode.ts'
import type { ClusterNode } from '../../test/cluster/node.ts'
import { SANDBOX_IMAGE } from '../../test/node/containerd.ts'
import { processes } from '../../test/node/process-tree.ts'
import { findLeftovers } from '../leftovers.ts'
import { KEEP_FINISHED } from './node.ts'
import { RECIPE_NAME } from './recipes.ts'
import { buildsBeyondRetention } from './retention.ts'

/** Names of what is left, by kind. */
export type Left = Readonly<Record<string, readonly string[]>>

/** What is left after all pods and images are gone. `bystanders`: processes of the bed itself. */
export async function findLeft(kube: Kube, node: ClusterNode, bystanders: readonly number[]): Promise<Left> {
  const cri = node.bed.cri(node.shim.socket)
  for (const { id, repoTags } of await cri.listImages())
    if (!repoTags.includes(SANDBOX_IMAGE)) await cri.removeImage(id)
  await node.bed.cri().removeImage(SANDBOX_IMAGE)
  const builds: NixBuild[] = []
  await kube.list(nixBuilds, {}, build => builds.push(build))
  const nixNode = await kube.get(nixNodes, { name: node.name })
  const found: Left = {
    ...(await findLeftovers(node.bed, node.shim)),
    processes: otherProcesses(node)
      .filter(pid => !bystanders.includes(pid))
      .map(pid => `${pid} ${commandOf(pid)}`),
    nixBuilds: buildsBeyondRetention(builds, KEEP_FINISHED),
    nixNode: nixNode ? [] : ['missing'],
    reportedBuilds: (nixNode?.status.builds ?? []).map(({ key, recipe }) => recipe?.imageTag ?? key),
    assigned: (nixNode?.spec.assigned ?? []).map(({ name }) => name),
    letGo: nixNode?.spec.letGo ?? [],
    storePaths: await storePaths(node),
  }
  return Object.fromEntries(Object.entries(found).filter(([, names]) => names.length > 0))
}

/** What Nix has of the recipes after a garbage collection: nothing may hold it, such as a root or an open connection. */
async function storePaths({ bed }: ClusterNode): Promise<string[]> {
  await bed.run('nix-store', ['--gc'])
  const { stdout } = await bed.run('ls', ['/nix/store'])
  return stdout.split('\n').filter(name => name.includes(`-${RECIPE_NAME}`))
}

/** All processes of the node but its daemons. */
export function otherProcesses({ bed, kubelet, shim }: ClusterNode): number[] {
  const { pid = 0 } = shim.daemon
  const namespace = namespaceOf(pid)
  const daemons = [pid, kubelet.pid, bed.containerd.pid, bed.nixDaemon.pid]
  return processes().filter(id => !daemons.includes(id) && namespaceOf(id) === namespace)
}

function namespaceOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`)
  } catch {
    return 'ended'
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return 'ended'
  }
}
