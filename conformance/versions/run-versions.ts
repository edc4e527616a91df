import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { execa } from 'execa'
import { NEWER_CONTAINERD } from '../../test/node/programs.ts'
import {
  CONTAINERD_1_7,
  type Family,
  KUBERNETES,
  OLDEST_API_SERVER,
  OLDEST_KUBELET,
} from '../../test/setup/go/programs.mjs'
import { tryBuilds } from './try-builds.ts'
import { type NodeVersions, type Tried, tryNode } from './try-node.ts'

const NODES: readonly NodeVersions[] = [
  {},
  { containerd: CONTAINERD_1_7.dir },
  { containerd: NEWER_CONTAINERD.dir },
  { containerd: NEWER_CONTAINERD.dir, nixOf: 'trixie' },
  { containerd: NEWER_CONTAINERD.dir, nixOf: 'sid' },
]

const KUBERNETES_VERSIONS: readonly (readonly Family[])[] = [
  [KUBERNETES],
  [OLDEST_KUBELET],
  [OLDEST_API_SERVER, OLDEST_KUBELET],
]

/** Uses the shim with each version of the programs around it that can be had here. */
export async function runVersions(): Promise<Tried[]> {
  const tried: Tried[] = []
  for (const node of NODES) tried.push(await tryNode(node))
  tried.push(await tryBuilds())
  for (const kubernetes of KUBERNETES_VERSIONS) tried.push(await tryKubernetes(kubernetes))
  return tried
}

const PROGRAM = join(import.meta.dirname, 'try-kubernetes.ts')
const LIMIT_MS = 10 * 60_000

/** Programs that one lacks come from the one that the tests use. */
async function tryKubernetes(families: readonly Family[]): Promise<Tried> {
  const named = families.flatMap(({ programs, version }) => `${programs.join(', ')} ${version.slice(1)}`).join('; ')
  if (!families.every(({ dir }) => existsSync(dir))) {
    const problem = '`node test/setup/setup.mjs --oldest-kubernetes` builds it'
    return { what: named, outcome: 'untried', problem }
  }
  const env = { ENBI_KUBERNETES_PROGRAMS: families.map(({ dir }) => dir).join(delimiter) }
  const { exitCode, stdout, stderr } = await execa(process.execPath, [PROGRAM], {
    env,
    reject: false,
    timeout: LIMIT_MS,
  })
  const what = stdout.trim() || named
  return exitCode === 0
    ? { what, outcome: 'works', problem: '' }
    : { what, outcome: 'fails', problem: stderr.slice(-1000) }
}
