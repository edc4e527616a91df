/** What continues after a run has ended, until the shim stops. */
export interface Background {
  /** Starts a task under that name. Its signal aborts when the shim stops, and when the name is needed for something else. */
  start(name: string, task: (signal: AbortSignal) => Promise<void>): Promise<void>
  /** Whether there is a task of that name. */
  has(name: string): boolean
  /** Ends the task of that name. */
  end(name: string): void
  /** Ends all tasks, and waits for them. */
  close(): Promise<unknown>
}

export function createBackground(): Background {
  const tasks = new Map<string, { readonly over: AbortController; readonly ended: Promise<void> }>()
  let isClosed = false
  const end = (name: string) => tasks.get(name)?.over.abort()
  return {
    async start(name, task) {
      end(name)
      const over = new AbortController()
      if (isClosed) over.abort()
      const ended = task(over.signal)
      const entry = { over, ended }
      tasks.set(name, entry)
      try {
        await ended
      } finally {
        if (tasks.get(name) === entry) tasks.delete(name)
      }
    },
    has: name => tasks.has(name),
    end,
    close() {
      isClosed = true
      for (const { over } of tasks.values()) over.abort()
      return Promise.allSettled([...tasks.values()].map(({ ended }) => ended))
    },
  }
}
