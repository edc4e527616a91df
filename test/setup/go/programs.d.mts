export interface Family {
  readonly name: string
  readonly version: string
  readonly programs: readonly string[]
  readonly source: string
  readonly dir: string
}

export const CACHE: string
export const KUBERNETES: Family
export const ETCD: Family
export const CONTAINERD: Family
export const HELM: Family
export const CRI_TOOLS: Family
export const CONTAINERD_1_7: Family
export const OLDEST_KUBELET: Family
export const OLDEST_API_SERVER: Family
