import { createMultiIndex } from './multi-index.ts'

/** Keys in groups; each key is in one group or none. */
export interface GroupIndex {
  /** undefined takes the key out. */
  put(key: string, group: string | undefined): void
  groupOf(key: string): string | undefined
  keysIn(group: string): Iterable<string>
}

export function createGroupIndex(): GroupIndex {
  const index = createMultiIndex()
  const groupOf = (key: string) => index.groupsOf(key)[0]
  return {
    put(key, group) {
      // It keeps its place among the others.
      if (groupOf(key) !== group) index.put(key, group === undefined ? [] : [group])
    },
    groupOf,
    keysIn: index.keysIn,
  }
}
