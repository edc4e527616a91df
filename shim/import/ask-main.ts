import { FinalError, reviveError } from '../errors.ts'
import type { StorePathInfo, StoreQuery } from './contract.ts'
import { type ImportOrder, type ImportReport, MAX_QUERIED_PATHS } from './job.ts'

/** Questions of a helper to the shim, which is the one that asks Nix. */
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
    async queryStore({ paths, recursive }) {
      if (paths.length > MAX_QUERIED_PATHS)
        throw new FinalError('NotAnImage', `the image is made of over ${MAX_QUERIED_PATHS} store paths`)
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
