import * as v from 'valibot'

/** As in `metav1.Condition` and the conditions of a Pod. */
export const conditionSchema = v.object({
  type: v.string(),
  status: v.picklist(['True', 'False', 'Unknown']),
  observedGeneration: v.optional(v.number()),
  reason: v.optional(v.string(), ''),
  message: v.optional(v.string(), ''),
  /** RFC 3339. */
  lastTransitionTime: v.optional(v.nullable(v.string())),
})

export type Condition = v.InferOutput<typeof conditionSchema>

/** The `lastTransitionTime` of a condition: a condition whose status stays keeps its time. */
export function transitionTime(before: Condition | undefined, status: Condition['status'], now: string): string {
  return (before?.status === status && before.lastTransitionTime) || now
}
