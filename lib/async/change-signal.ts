/** Lets one task wait for changes. Changes that happen while the task is busy are not lost; they count as one. */
export interface ChangeSignal extends Disposable {
  notify(): void
  /** Resolves as soon as there has been a change since it last resolved, after `limitMs`, or when `end` aborts. */
  changed(limitMs?: number): Promise<void>
}

/** Waits end when `end` aborts, and later ones return immediately. */
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
