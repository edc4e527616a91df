/** Lets one task wait for changes: those that happen while it is at work are not lost, and count as one. */
export interface ChangeSignal extends Disposable {
  notify(): void
  /** Resolves as soon as there has been a change since it last resolved; at the latest after `limitMs`, or at the end. */
  changed(limitMs?: number): Promise<void>
}

/** After `end` has aborted nothing waits. */
export function createChangeSignal(end: AbortSignal): ChangeSignal {
  let hasChanged = false
  let wake = () => {}
  const notify = () => {
    hasChanged = true
    wake()
  }
  end.addEventListener('abort', notify, { once: true })
  return {
    notify,
    async changed(limitMs) {
      if (!hasChanged && !end.aborted) {
        let timer: NodeJS.Timeout | undefined
        await new Promise<void>(resolve => {
          wake = resolve
          if (limitMs !== undefined) timer = setTimeout(resolve, limitMs)
        })
        clearTimeout(timer)
      }
      hasChanged = false
    },
    [Symbol.dispose]() {
      end.removeEventListener('abort', notify)
    },
  }
}
