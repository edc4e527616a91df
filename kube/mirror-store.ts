import { isDeepStrictEqual } from 'node:util'

/** What a mirror keeps. Tells of every key whose value is another than before. */
export interface MirrorStore<P> {
  readonly values: ReadonlyMap<string, P>
  /** undefined: it is gone, or to be left out. */
  set(key: string, value: P | undefined): void
  /** Drops all others. */
  retain(keys: ReadonlySet<string>): void
}

export function createMirrorStore<P>(onChange: (key: string) => void): MirrorStore<P> {
  const values = new Map<string, P>()

  function set(key: string, value: P | undefined): void {
    const before = values.get(key)
    // Most of what is written to an API server, a kubelet's news of its node say, is nothing that the project looks at.
    if (isDeepStrictEqual(before, value)) return
    if (value === undefined) values.delete(key)
    else values.set(key, value)
    onChange(key)
  }

  return {
    values,
    set,
    retain(keys) {
      for (const key of [...values.keys()]) if (!keys.has(key)) set(key, undefined)
    },
  }
}
