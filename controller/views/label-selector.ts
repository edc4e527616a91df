import { quote } from '../../lib/text/quote.ts'

export type LabelSelector = (labels: Readonly<Record<string, string>>) => boolean

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
 * joined by commas. As in Kubernetes, `!=` and `notin` match labels that lack the key. Throws a TypeError that shows
 * the place.
 */
export function parseLabelSelector(text: string): LabelSelector {
  const requirements = [...readRequirements(text)]
  return labels => requirements.every(requirement => requirement(labels))
}

function* readRequirements(text: string): Generator<LabelSelector> {
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

function requirementOf(groups: Readonly<Record<string, string | undefined>>): LabelSelector {
  const { absentKey, setKey, setOperator, values = '', key, operator, value = '', presentKey = '' } = groups
  if (absentKey !== undefined) return labels => !Object.hasOwn(labels, absentKey)
  if (setKey !== undefined)
    return membership(setKey, new Set(values.split(',').map(each => each.trim())), setOperator === 'in')
  if (key !== undefined) return membership(key, new Set([value]), operator !== '!=')
  return labels => Object.hasOwn(labels, presentKey)
}

function membership(key: string, values: ReadonlySet<string>, expected: boolean): LabelSelector {
  return labels => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined
    return (value !== undefined && values.has(value)) === expected
  }
}
