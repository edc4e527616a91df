/** Waits for all, whatever becomes of the others; then throws the first failure, if there is one. */
export async function allSettled(work: readonly Promise<unknown>[]): Promise<void> {
  const ends = await Promise.allSettled(work)
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}
