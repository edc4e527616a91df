import { reviveError } from '../../../lib/errors.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
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

type Answer = Extract<ImportOrder, { kind: 'storePaths' }>

/** Of a message, about, in characters: writing it takes a thread less than a millisecond, which others wait for. */
const PART_LENGTH = 128 * 1024
/** Of a path without its name and references, and of a reference. */
const LENGTH_OF_FACTS = 150
const LENGTH_OF_REFERENCE = 7

/**
 * What Nix knows of store paths, cut into messages. References are told by their places in the whole answer, and only where they
 * are wanted: they would be most of it.
 */
export function* answerParts(
  infos: readonly StorePathInfo[],
  { id, references }: { readonly id: number; readonly references: boolean },
): Generator<Answer> {
  const places = new Map(references ? infos.map(({ path }, place) => [path, place]) : [])
  let part: Answer['infos'] = []
  let length = 0
  for (const { path, narHash, narSize, references } of infos) {
    const known = places.size === 0 ? [] : references.flatMap(other => places.get(other) ?? [])
    part.push({ path, narHash, narSize, references: known })
    length += path.length + LENGTH_OF_FACTS + known.length * LENGTH_OF_REFERENCE
    if (length < PART_LENGTH) continue
    yield { kind: 'storePaths', id, infos: part, isLast: false }
    part = []
    length = 0
  }
  yield { kind: 'storePaths', id, infos: part, isLast: true }
}

/** The answer whose parts these are. */
export function joinParts(parts: readonly Answer[]): StorePathInfo[] {
  const infos = parts.flatMap(({ infos }) => infos)
  const paths = infos.map(({ path }) => path)
  return infos.map(info => ({ ...info, references: info.references.flatMap(place => paths[place] ?? []) }))
}

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
