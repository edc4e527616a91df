import type { SyntaxNode } from '@lezer/common'
import { parser } from '@prometheus-io/lezer-promql'

/** Labels of a metric, by its name; a histogram by the names of its series. */
export type KnownMetrics = ReadonlyMap<string, KnownLabels>
/** Known values of labels, by name; ANY_VALUE for a label with other values. */
export type KnownLabels = ReadonlyMap<string, ReadonlySet<string>>

/** For a label whose values cannot be listed. */
export const ANY_VALUE: ReadonlySet<string> = new Set()

/** Problems of a PromQL expression: syntax, and unknown metrics, labels and values of labels. */
export function problemsOf(expression: string, known: KnownMetrics): string[] {
  const problems: string[] = []
  const metrics: string[] = []
  const grouped: string[] = []
  const text = ({ from, to }: { from: number; to: number }) => expression.slice(from, to)
  parser.parse(expression).iterate({
    enter({ type, node }) {
      if (type.isError) problems.push(`no PromQL at ${node.from}`)
      if (type.name === 'GroupingLabels') grouped.push(...below(node, 'LabelName').map(text))
      if (type.name !== 'VectorSelector') return
      const identifier = node.getChild('Identifier')
      const metric = identifier ? text(identifier) : ''
      metrics.push(metric)
      const labels = known.get(metric)
      if (!labels) problems.push(`nobody has ${metric}`)
      else
        for (const matcher of below(node, 'UnquotedLabelMatcher'))
          problems.push(...checkMatcher({ matcher, text, metric, labels }))
    },
  })
  const all = new Set(metrics.flatMap(metric => [...(known.get(metric)?.keys() ?? [])]))
  for (const label of grouped) if (!all.has(label)) problems.push(`none of these has ${label}`)
  if (metrics.length === 0) problems.push('it asks for nothing')
  return problems
}

interface Matcher {
  readonly matcher: SyntaxNode
  readonly text: (node: SyntaxNode) => string
  readonly metric: string
  readonly labels: KnownLabels
}

function checkMatcher({ matcher, text, metric, labels }: Matcher): string[] {
  const textOf = (name: string) => below(matcher, name).map(text).join()
  const label = textOf('LabelName')
  const values = labels.get(label)
  if (!values) return [`${metric} has no ${label}`]
  if (values === ANY_VALUE) return []
  const wanted = textOf('StringLiteral').slice(1, -1).split('|')
  return wanted.filter(value => !values.has(value)).map(value => `${label} of ${metric} is never ${value}`)
}

function below(node: SyntaxNode, name: string): SyntaxNode[] {
  const found: SyntaxNode[] = []
  node.cursor().iterate(one => {
    if (one.name === name) found.push(one.node)
  })
  return found.filter(({ to }) => to <= node.to)
}

/** Reads the text of /metrics, as Prometheus does for that job. */
export function readExposition(text: string, job: string): KnownMetrics {
  const known = new Map<string, Map<string, ReadonlySet<string>>>()
  for (const line of text.split('\n')) {
    const [, name, labels = ''] = /^([a-z_]+)(?:\{(.*)\})? \S+$/.exec(line) ?? []
    if (name === undefined) continue
    const all = known.get(name) ?? targetLabels(job)
    known.set(name, all)
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      all.set(label, new Set([...(all.get(label) ?? []), value]))
    }
  }
  return known
}

/** The labels that Prometheus adds. */
export function targetLabels(...jobs: readonly string[]): Map<string, ReadonlySet<string>> {
  return new Map([
    ['instance', ANY_VALUE],
    ['job', new Set(jobs)],
  ])
}
