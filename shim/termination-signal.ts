/** Aborted by the first SIGINT or SIGTERM; a second one ends the process at once. */
export function terminationSignal(): AbortSignal {
  const controller = new AbortController()
  const names = ['SIGINT', 'SIGTERM'] as const
  const abort = (name: NodeJS.Signals) => {
    for (const each of names) process.off(each, abort)
    controller.abort(name)
  }
  for (const name of names) process.on(name, abort)
  return controller.signal
}
