import * as v from 'valibot'
import { quote } from '../../lib/text/quote.ts'

const text = v.string()

/** As Kubernetes has it. All requirements must be met; without any, it selects everything. */
export const labelSelectorSchema = v.object({
  matchLabels: v.optional(v.record(text, text)),
  matchExpressions: v.optional(
    v.array(
      v.object({
        key: text,
        operator: v.picklist(['In', 'NotIn', 'Exists', 'DoesNotExist']),
        values: v.optional(v.array(text)),
      }),
    ),
  ),
})

export type LabelSelector = v.InferOutput<typeof labelSelectorSchema>
type LabelRequirement = NonNullable<LabelSelector['matchExpressions']>[number]

/** Whether a selector selects an object with these labels. */
export type LabelMatcher = (labels: Readonly<Record<string, string>>) => boolean

const NAME = '[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?'
/** Patterns of keys and values of labels. Those of taints have the same form. */
export const LABEL_KEY = `(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?${NAME}`
export const LABEL_VALUE = `(?:${NAME})?`

/** A requirement with the comma or end after it. */
const REQUIREMENT = new RegExp(
  [
    `\\s*(?:(?<absent>!)\\s*(?<absentKey>${LABEL_KEY})`,
    `|(?<setKey>${LABEL_KEY})\\s+(?<setOperator>in|notin)\\s*\\(\\s*(?<values>${LABEL_VALUE}(?:\\s*,\\s*${LABEL_VALUE})*)\\s*\\)`,
    `|(?<key>${LABEL_KEY})\\s*(?<operator>==|=|!=)\\s*(?<value>${LABEL_VALUE})`,
    `|(?<presentKey>${LABEL_KEY}))\\s*(?<end>,|$)`,
  ].join(''),
  'y',
)

/**
 * Parses a label selector with kubectl's syntax: `a=1`, `a==1`, `a!=1`, `a`, `!a`, `a in (1,2)`, `a notin (1,2)`,
 * joined by commas. Throws a TypeError that shows the place.
 */
export function parseLabelSelector(text: string): LabelSelector {
  return { matchExpressions: [...readRequirements(text)] }
}

function* readRequirements(text: string): Generator<LabelRequirement> {
  const pattern = new RegExp(REQUIREMENT)
  for (let end = ','; end === ','; ) {
    const start = pattern.lastIndex
    const groups = pattern.exec(text)?.groups
    if (!groups)
      throw new TypeError(
        `${quote(text)} is not a label selector, at ${quote(text.slice(start))}: expected key=value, key!=value, key, !key, key in (a,b), joined by commas`,
      )
    yield requirementOf(groups)
    end = groups.end ?? ''
  }
}

function requirementOf(groups: Readonly<Record<string, string | undefined>>): LabelRequirement {
  const { absentKey, setKey, setOperator, values = '', key, operator, value = '', presentKey = '' } = groups
  if (absentKey !== undefined) return { key: absentKey, operator: 'DoesNotExist' }
  if (setKey !== undefined) {
    const distinct = new Set(values.split(',').map(each => each.trim()))
    return { key: setKey, operator: setOperator === 'in' ? 'In' : 'NotIn', values: [...distinct] }
  }
  if (key !== undefined) return { key, operator: operator === '!=' ? 'NotIn' : 'In', values: [value] }
  return { key: presentKey, operator: 'Exists' }
}

/** As in Kubernetes, `NotIn` is met by labels that lack the key. */
export function labelMatcher({ matchLabels = {}, matchExpressions = [] }: LabelSelector): LabelMatcher {
  const tests = [
    ...Object.entries(matchLabels).map(([key, value]) => membership(key, [value], true)),
    ...matchExpressions.map(matcherOf),
  ]
  return labels => tests.every(test => test(labels))
}

function matcherOf({ key, operator, values = [] }: LabelRequirement): LabelMatcher {
  switch (operator) {
    case 'Exists':
      return labels => Object.hasOwn(labels, key)
    case 'DoesNotExist':
      return labels => !Object.hasOwn(labels, key)
    case 'In':
      return membership(key, values, true)
    case 'NotIn':
      return membership(key, values, false)
  }
}

function membership(key: string, values: readonly string[], expected: boolean): LabelMatcher {
  const known = new Set(values)
  return labels => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined
    return (value !== undefined && known.has(value)) === expected
  }
}
