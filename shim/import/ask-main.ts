import { reviveError } from '../errors.ts'
import type { StorePathInfo, StoreQuery } from './contract.ts'
import type { ImportOrder, ImportReport } from './job.ts'

/** Questions of a worker thread to the main thread, which is the one that runs nix. */
export interface AskMain {
  queryStore(query: StoreQuery): Promise<readonly StorePathInfo[]>
  /** An answer has come. */
  answered(answer: StoreAnswer): void
}

export type StoreAnswer = Extract<ImportOrder, { kind: 'storePaths' | 'queryFailed' }>

export function createAskMain(report: (message: ImportReport) => void): AskMain {
  const waiting = new Map<number, PromiseWithResolvers<readonly StorePathInfo[]>>()
  let last = 0
  return {
    queryStore({ paths, recursive }) {
      last += 1
      const answer = Promise.withResolvers<readonly StorePathInfo[]>()
      waiting.set(last, answer)
      report({ kind: 'query', id: last, paths: [...paths], recursive })
      return answer.promise
    },
    answered(order) {
      const answer = waiting.get(order.id)
      waiting.delete(order.id)
      if (order.kind === 'storePaths') answer?.resolve(order.infos)
      else answer?.reject(reviveError(order.code, order.message))
    },
  }
}
