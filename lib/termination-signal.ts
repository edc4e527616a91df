/** Aborted by the first SIGINT or SIGTERM; a second one ends the process at once. */
export function terminationSignal(): AbortSignal {
  const controller = new AbortController()
  const names = ['SIGINT', 'SIGTERM'] as const
  const abort = (name: NodeJS.Signals) => {
    controller.abort(name)
    // Not at once: what restores the cursor would find itself the only listener, and end the process.
    setImmediate(() => {
      for (const each of names) process.off(each, abort)
    })
  }
  for (const name of names) process.on(name, abort)
  return controller.signal
}
