import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Outside the checkout, because all clones share these programs and building them takes minutes. */
export const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'enbi-shim')

export const KUBERNETES = family('kubernetes', 'k8s.io/kubernetes')
export const ETCD = family('etcd', 'go.etcd.io/etcd/server/v3')
export const CONTAINERD = family('containerd', 'github.com/containerd/containerd/v2')
export const HELM = family('helm', 'helm.sh/helm/v4')
// Only `npm run conformance` needs these.
export const CRI_TOOLS = family('cri-tools', 'sigs.k8s.io/cri-tools')
export const OLDEST_KUBELET = family('kubernetes-1.30', 'k8s.io/kubernetes')
export const OLDEST_API_SERVER = family('kubernetes-1.31', 'k8s.io/kubernetes')
export const CONTAINERD_1_7 = family('containerd-1.7', 'github.com/containerd/containerd')

/** The programs of a go.mod beside this file, their version, and the folder that they are built into. */
function family(name, module) {
  const source = fileURLToPath(new URL(name, import.meta.url))
  const text = readFileSync(join(source, 'go.mod'), 'utf8')
  const version = text.match(new RegExp(`^(?:require)?\\s+${module} (v\\S+)`, 'm'))[1]
  const programs = [...text.matchAll(/^(?:tool)?\s+\S+\/cmd\/(\S+)$/gm)].map(match => match[1])
  return { name, version, programs, source, dir: join(CACHE, `${name}-${version}`) }
}
