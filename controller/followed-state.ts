import type { ClusterState } from './state/cluster-state.ts'

/**
 * The state of the cluster, which costs memory and watches. It is read when this process first leads, and followed until
 * another one leads: a leader that has only lost the API server need not read everything again.
 */
export interface FollowedState {
  get(): ClusterState
  /** What another process has written counts more than what is remembered here. */
  drop(): void
  /** Drops it, and resolves when its watches have ended. */
  end(): Promise<void>
}

export function followState(create: (signal: AbortSignal) => ClusterState): FollowedState {
  let followed: { readonly state: ClusterState; readonly watching: AbortController } | undefined
  let ended: Promise<unknown> = Promise.resolve()

  function begin() {
    const watching = new AbortController()
    return { state: create(watching.signal), watching }
  }

  function drop(): void {
    if (!followed) return
    const { watching, state } = followed
    followed = undefined
    ended = Promise.all([ended, state.ended])
    watching.abort()
  }

  return {
    get() {
      followed ??= begin()
      return followed.state
    },
    drop,
    async end() {
      drop()
      await ended
    },
  }
}
