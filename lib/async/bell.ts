/** Waits for something to happen again and again. */
export interface Bell extends Disposable {
  /** Resolves once it has rung since the last time that this resolved; after `limitMs` or at the end in any case. */
  rung(limitMs: number): Promise<void>
}

/** `subscribe` returns how to stop. */
export function createBell(subscribe: (ring: () => void) => () => void, end: AbortSignal): Bell {
  let hasRung = false
  let wake = () => {}
  const ring = () => {
    hasRung = true
    wake()
  }
  const stop = subscribe(ring)
  end.addEventListener('abort', ring, { once: true })
  return {
    async rung(limitMs) {
      if (!hasRung && !end.aborted) {
        let timer: NodeJS.Timeout | undefined
        await new Promise<void>(resolve => {
          wake = resolve
          timer = setTimeout(resolve, limitMs)
        })
        clearTimeout(timer)
      }
      hasRung = false
    },
    [Symbol.dispose]() {
      stop()
      end.removeEventListener('abort', ring)
    },
  }
}
