/** Waits for all promises, even if some reject. Then throws the first failure, if there is one. */
export async function allSettled(work: readonly Promise<unknown>[]): Promise<void> {
  const ends = await Promise.allSettled(work)
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}
