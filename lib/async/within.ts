/** What the promise gives, or undefined after that time, or when it rejects; it is left to itself then. */
export function within<T>(limitMs: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise(resolve => {
    const giveUp = () => resolve(undefined)
    const timer = setTimeout(giveUp, limitMs)
    promise.then(resolve, giveUp).finally(() => clearTimeout(timer))
  })
}
