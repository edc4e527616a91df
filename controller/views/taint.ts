import * as v from 'valibot'
import { LABEL_KEY, LABEL_VALUE } from '../../kube/resources/label-selector.ts'
import { quote } from '../../lib/text/quote.ts'

/** A mark of a node that keeps away what does not tolerate it. */
export type Taint = v.InferOutput<typeof taintSchema>

export const taintSchema = v.object({ key: v.string(), value: v.optional(v.string(), ''), effect: v.string() })

/** A flag `--tolerate`. An undefined value or effect stands for all. */
export interface Toleration {
  readonly key: string
  readonly value: string | undefined
  readonly effect: string | undefined
}

const TOLERATION = new RegExp(
  `^(?<key>${LABEL_KEY})(?:=(?<value>${LABEL_VALUE}))?(?::(?<effect>NoSchedule|NoExecute))?$`,
)

/** Parses `key`, `key=value`, `key:effect` or `key=value:effect`. Throws a TypeError. */
export function parseToleration(text: string): Toleration {
  const { key, value, effect } = TOLERATION.exec(text)?.groups ?? {}
  if (key !== undefined) return { key, value, effect }
  throw new TypeError(`${quote(text)} is not a toleration: expected key[=value][:NoSchedule|:NoExecute]`)
}

/** Whether the taint keeps builds off its node. `PreferNoSchedule` does not. */
export function keepsOff({ key, value, effect }: Taint, tolerations: readonly Toleration[]): boolean {
  if (effect !== 'NoSchedule' && effect !== 'NoExecute') return false
  return !tolerations.some(
    tolerated =>
      tolerated.key === key && (tolerated.value ?? value) === value && (tolerated.effect ?? effect) === effect,
  )
}
