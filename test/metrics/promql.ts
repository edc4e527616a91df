import type { SyntaxNode } from '@lezer/common'
import { parser } from '@prometheus-io/lezer-promql'

/** Names of the labels of a metric, by its name; a histogram by the names of its series. */
export type KnownMetrics = ReadonlyMap<string, ReadonlySet<string>>

/** Labels that every series has from Prometheus itself. */
const TARGET_LABELS = ['instance', 'job']

/** What is wrong with a PromQL expression: syntax, and names of metrics and labels that nobody has. */
export function problemsOf(expression: string, known: KnownMetrics): string[] {
  const problems: string[] = []
  const metrics: string[] = []
  const grouped: string[] = []
  const text = ({ from, to }: { from: number; to: number }) => expression.slice(from, to)
  parser.parse(expression).iterate({
    enter({ type, node }) {
      if (type.isError) problems.push(`no PromQL at ${node.from}`)
      if (type.name === 'GroupingLabels') grouped.push(...labelsBelow(node).map(text))
      if (type.name !== 'VectorSelector') return
      const identifier = node.getChild('Identifier')
      const metric = identifier ? text(identifier) : ''
      metrics.push(metric)
      const labels = known.get(metric)
      if (!labels) problems.push(`nobody has ${metric}`)
      else
        for (const label of labelsBelow(node).map(text))
          if (!has(labels, label)) problems.push(`${metric} has no ${label}`)
    },
  })
  const all = new Set(metrics.flatMap(metric => [...(known.get(metric) ?? [])]))
  for (const label of grouped) if (!has(all, label)) problems.push(`none of these has ${label}`)
  if (metrics.length === 0) problems.push('it asks for nothing')
  return problems
}

function has(labels: ReadonlySet<string>, label: string): boolean {
  return labels.has(label) || TARGET_LABELS.includes(label)
}

function labelsBelow(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = []
  node.cursor().iterate(({ name, node: below }) => {
    if (name === 'LabelName') found.push(below)
  })
  return found.filter(({ to }) => to <= node.to)
}

/** Reads what is served as /metrics. */
export function readExposition(text: string): KnownMetrics {
  const known = new Map<string, Set<string>>()
  for (const line of text.split('\n')) {
    const [, name, labels = ''] = /^([a-z_]+)(?:\{(.*)\})? \S+$/.exec(line) ?? []
    if (name === undefined) continue
    const names = [...labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)].map(match => match[1] ?? '')
    known.set(name, new Set([...(known.get(name) ?? []), ...names]))
  }
  return known
}
