/** Fires once, at the earliest of the times that it was set to. */
export interface Alarm {
  /** `at` in milliseconds since 1970. */
  set(at: number): void
  clear(): void
}

export function createAlarm(fire: () => void, now: () => number): Alarm {
  let timer: NodeJS.Timeout | undefined
  let setTo = Number.POSITIVE_INFINITY
  const clear = () => {
    clearTimeout(timer)
    setTo = Number.POSITIVE_INFINITY
  }
  const ring = () => {
    setTo = Number.POSITIVE_INFINITY
    fire()
  }
  return {
    clear,
    set(at) {
      if (setTo <= at) return
      clear()
      setTo = at
      timer = setTimeout(ring, Math.max(0, at - now()))
    },
  }
}
