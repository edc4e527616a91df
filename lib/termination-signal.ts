/** Aborts on the first SIGINT or SIGTERM. A second one ends the process immediately. */
export function terminationSignal(): AbortSignal {
  const controller = new AbortController()
  const names = ['SIGINT', 'SIGTERM'] as const
  const abort = (name: NodeJS.Signals) => {
    controller.abort(name)
    // Deferred: log-update's exit handler would find itself the only listener and end the process.
    setImmediate(() => {
      for (const each of names) process.off(each, abort)
    })
  }
  for (const name of names) process.on(name, abort)
  return controller.signal
}
