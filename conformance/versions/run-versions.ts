import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { NEWER_CONTAINERD } from '../../test/node/programs.ts'
import { CONTAINERD_1_7, KUBERNETES, OLDEST_KUBERNETES } from '../../test/setup/go/programs.mjs'
import { type NodeVersions, type Tried, tryNode } from './try-node.ts'

const NODES: readonly NodeVersions[] = [
  {},
  { containerd: CONTAINERD_1_7.dir },
  { containerd: NEWER_CONTAINERD.dir },
  { containerd: NEWER_CONTAINERD.dir, nixOf: 'trixie' },
  { containerd: NEWER_CONTAINERD.dir, nixOf: 'sid' },
]

/** Uses the shim with each version of the programs around it that can be had here. */
export async function runVersions(): Promise<Tried[]> {
  const tried: Tried[] = []
  for (const node of NODES) tried.push(await tryNode(node))
  for (const kubernetes of [KUBERNETES, OLDEST_KUBERNETES]) tried.push(await tryKubernetes(kubernetes))
  return tried
}

const PROGRAM = join(import.meta.dirname, 'try-kubernetes.ts')
const LIMIT_MS = 10 * 60_000

async function tryKubernetes({ version, dir }: { readonly version: string; readonly dir: string }): Promise<Tried> {
  if (!existsSync(dir)) {
    const what = `Kubernetes ${version.slice(1)}`
    return { what, outcome: 'untried', problem: '`node test/setup/setup.mjs --oldest-kubernetes` builds it' }
  }
  const env = { ENBI_KUBERNETES_PROGRAMS: dir }
  const { exitCode, stdout, stderr } = await execa(process.execPath, [PROGRAM], {
    env,
    reject: false,
    timeout: LIMIT_MS,
  })
  const what = stdout.trim() || `Kubernetes ${version.slice(1)}`
  return exitCode === 0
    ? { what, outcome: 'works', problem: '' }
    : { what, outcome: 'fails', problem: stderr.slice(-1000) }
}
