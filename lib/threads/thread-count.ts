import { availableParallelism } from 'node:os'

/** Threads for work beside containerd's, which gets a processor for itself. */
export function threadCount(most: number): number {
  return Math.min(Math.max(availableParallelism() - 1, 1), most)
}
