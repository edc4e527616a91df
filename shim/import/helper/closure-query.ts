import { reviveError } from '../../../lib/errors.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import type { ImportMessage, ImportReport } from './messages.ts'

// How a helper asks the daemon, which asks Nix, for the closure of a store path: both ends.

type AnswerPart = Extract<ImportMessage, { kind: 'storePaths' }>

/** Approximate length of a message in characters: formatting it takes less than a millisecond, which calls wait for. */
const PART_LENGTH = 128 * 1024
/** Of a path without its name and references, and of a reference. */
const LENGTH_OF_FACTS = 150
const LENGTH_OF_REFERENCE = 7

/**
 * The daemon's end: cuts an answer into messages. References are indexes in the whole answer, and are left out unless they are
 * wanted, since they would be most of it.
 */
export function* answerParts(
  infos: readonly StorePathInfo[],
  { id, references }: { readonly id: number; readonly references: boolean },
): Generator<AnswerPart> {
  const indexes = new Map(references ? infos.map(({ path }, index) => [path, index]) : [])
  let part: AnswerPart['infos'] = []
  let length = 0
  for (const { path, narHash, narSize, references } of infos) {
    const known = indexes.size === 0 ? [] : references.flatMap(other => indexes.get(other) ?? [])
    part.push({ path, narHash, narSize, references: known })
    length += path.length + LENGTH_OF_FACTS + known.length * LENGTH_OF_REFERENCE
    if (length < PART_LENGTH) continue
    yield { kind: 'storePaths', id, infos: part, isLast: false }
    part = []
    length = 0
  }
  yield { kind: 'storePaths', id, infos: part, isLast: true }
}

/** The helper's end. */
export interface ClosureQueries {
  queryClosure(storePath: string): Promise<readonly StorePathInfo[]>
  /** Takes an answer, or a part of it. */
  onAnswer(answer: ImportMessage): void
}

interface Waiting extends PromiseWithResolvers<readonly StorePathInfo[]> {
  readonly parts: AnswerPart[]
}

export function createClosureQueries(report: (message: ImportReport) => void): ClosureQueries {
  const waiting = new Map<number, Waiting>()
  let lastId = 0
  return {
    queryClosure(storePath) {
      lastId += 1
      const answer: Waiting = { ...Promise.withResolvers<readonly StorePathInfo[]>(), parts: [] }
      waiting.set(lastId, answer)
      report({ kind: 'query', id: lastId, storePath })
      return answer.promise
    },
    onAnswer(message) {
      const answer = waiting.get(message.id)
      if (message.kind === 'storePaths') answer?.parts.push(message)
      if (message.kind === 'storePaths' && !message.isLast) return
      waiting.delete(message.id)
      if (message.kind === 'storePaths') answer?.resolve(joinParts(answer.parts))
      else answer?.reject(reviveError(message.code, message.message))
    },
  }
}

export function joinParts(parts: readonly AnswerPart[]): StorePathInfo[] {
  const infos = parts.flatMap(({ infos }) => infos)
  const paths = infos.map(({ path }) => path)
  return infos.map(info => ({ ...info, references: info.references.flatMap(index => paths[index] ?? []) }))
}
