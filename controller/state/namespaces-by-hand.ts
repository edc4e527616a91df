import { ALL_NAMESPACES } from '../../kube/resources/nixnode.ts'

/** Namespaces that have or had NixBuilds made by hand. */
export interface NamespacesByHand {
  /** Only grows, as a namespace too many costs little. With `ALL_NAMESPACES` if it has grown too often. */
  readonly names: ReadonlySet<string>
  add(namespace: string): void
}

export interface NamespacesByHandOptions {
  /** Whether all NixBuilds have been read. Those that existed before are no news. */
  readonly isSynced: () => boolean
  /** Called when `names` has grown. This costs a write for each node. */
  readonly onChange: () => void
  readonly now: () => number
}

/** More new namespaces in this time, in milliseconds, stand for all. */
const MAX_NEW = 20
const NEW_MS = 3_600_000

export function createNamespacesByHand({ isSynced, onChange, now }: NamespacesByHandOptions): NamespacesByHand {
  const names = new Set<string>()
  let added: number[] = []

  function isTooOften(): boolean {
    if (!isSynced()) return false
    added = [...added.filter(at => at > now() - NEW_MS), now()]
    return added.length > MAX_NEW
  }

  return {
    names,
    add(namespace) {
      if (names.has(namespace) || names.has(ALL_NAMESPACES)) return
      names.add(isTooOften() ? ALL_NAMESPACES : namespace)
      onChange()
    },
  }
}
