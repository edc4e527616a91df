/** Runs tasks one after the other, in the order of the calls. A failed task does not stop the next one. */
export function createOneByOne(): <Result>(task: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve()
  return task => {
    const run = last.then(task)
    last = run.catch(() => {})
    return run
  }
}
