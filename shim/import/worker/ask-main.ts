import { reviveError } from '../../../lib/errors.ts'
import type { StorePathInfo } from '../image/contract.ts'
import { joinParts } from './closure-query.ts'
import type { ImportOrder, ImportReport } from './messages.ts'

/** Questions of a helper to the shim, which is the one that asks Nix. */
export interface AskMain {
  queryClosure(storePath: string): Promise<readonly StorePathInfo[]>
  /** An answer has come, or a part of it. */
  answered(answer: StoreAnswer): void
}

export type StoreAnswer = Extract<ImportOrder, { kind: 'storePaths' | 'queryFailed' }>

interface Waiting extends PromiseWithResolvers<readonly StorePathInfo[]> {
  readonly parts: StorePathsPart[]
}
type StorePathsPart = Extract<ImportOrder, { kind: 'storePaths' }>

export function createAskMain(report: (message: ImportReport) => void): AskMain {
  const waiting = new Map<number, Waiting>()
  let last = 0
  return {
    queryClosure(storePath) {
      last += 1
      const answer: Waiting = { ...Promise.withResolvers<readonly StorePathInfo[]>(), parts: [] }
      waiting.set(last, answer)
      report({ kind: 'query', id: last, storePath })
      return answer.promise
    },
    answered(order) {
      const answer = waiting.get(order.id)
      if (order.kind === 'storePaths') answer?.parts.push(order)
      if (order.kind === 'storePaths' && !order.isLast) return
      waiting.delete(order.id)
      if (order.kind === 'storePaths') answer?.resolve(joinParts(answer.parts))
      else answer?.reject(reviveError(order.code, order.message))
    },
  }
}
