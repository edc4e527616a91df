import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { describe, expect, it, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { makeChart } from '../../deploy/helm/chart.ts'
import { conditionOf } from '../../deploy/helm/values.ts'
import { readGuide } from '../docs/code-blocks.ts'

const DEPLOY = join(import.meta.dirname, '../../deploy')
/** Of tokens made by hand, and of the pods of components/token. */
const ACCOUNTS = ['enbi-system', 'enbi-token'].map(namespace => ({ namespace, name: 'enbi-shim' }))

const manifestSchema = v.object({ kind: v.string(), metadata: v.object({ name: v.string() }) })
const accountSchema = v.object({ namespace: v.string(), name: v.string() })
const bindingSchema = v.object({
  kind: v.picklist(['ClusterRoleBinding', 'RoleBinding']),
  metadata: v.object({ namespace: v.optional(v.string()) }),
  roleRef: v.object({ kind: v.string(), name: v.string() }),
  subjects: v.array(v.object({ ...accountSchema.entries, namespace: v.optional(v.string()) })),
})
const flowSchema = v.object({
  kind: v.literal('FlowSchema'),
  spec: v.object({
    rules: v.array(v.object({ subjects: v.array(v.object({ serviceAccount: v.optional(accountSchema) })) })),
  }),
})

const base = await readManifests('base')
const component = await readManifests('components/token')
const chart = await makeChart()
const flowSchemas = parsedAs(flowSchema, base)

describe('the two accounts of the shims', () => {
  const policies = base.filter(({ kind, text }) => kind === 'ValidatingAdmissionPolicy' && text.includes(':enbi-shim'))

  it.each(policies)('are both limited by the admission policy $name', ({ text }) => {
    const named = [...text.matchAll(/system:serviceaccount:([\w-]+):enbi-shim/g)].map(([, namespace]) => namespace)
    expect(named).toEqual(ACCOUNTS.map(({ namespace }) => namespace))
  })

  it('are limited by four admission policies', () => {
    expect(policies).toHaveLength(4)
  })

  it('have the same FlowSchemas', () => {
    const subjects = flowSchemas.map(({ spec }) =>
      spec.rules.flatMap(rule => rule.subjects.map(each => each.serviceAccount)),
    )
    const ofShims = subjects.filter(accounts => accounts.some(account => account?.name === 'enbi-shim'))
    expect(ofShims).toEqual([ACCOUNTS, ACCOUNTS])
  })

  it('have the same roles', () => {
    const [byHand, ofPods] = ACCOUNTS
    expect(rolesOf(component, ofPods)).toEqual(rolesOf(base, byHand))
    expect(rolesOf(base, ofPods)).toEqual([])
  })
})

test('the namespace of the tokens is always there, so that no tenant can be its account, and restricted without the component', () => {
  const ours = base.filter(({ kind, name }) => kind === 'Namespace' && name === 'enbi-token')
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  expect(ours).toMatchObject([{ object: { metadata: { labels } } }])
  const template = chart.get('templates/token-namespace.yaml')
  expect(template).toContain('{{ toJson (ternary "privileged" "restricted" .Values.token.enabled) }}')
  expect(template).not.toContain('{{- if')
})

test('all objects of the component for tokens are in the chart, only if it is enabled', () => {
  for (const { kind, name } of component.filter(each => each.kind !== 'Namespace'))
    expect(conditionOf(`${kind}/${name}`)).toBe('.Values.token.enabled')
  expect(chart.get('templates/token-daemonset.yaml')).toMatch(/^#.*\n.*\{\{- if \.Values\.token\.enabled/)
})

test('the policy of the guide allows images of the flake in the namespaces of the controller and of the tokens', async () => {
  const [config] = (await readGuide('join-a-cluster.md')).filter(({ text }) => text.startsWith('policy:'))
  expect(parse(config?.text ?? '')).toMatchObject({ policy: [{ namespaces: ['enbi-system', 'enbi-token'] }] })
})

type Account = (typeof ACCOUNTS)[number] | undefined

interface Manifest {
  readonly kind: string
  readonly name: string
  readonly text: string
  readonly object: unknown
}

/** The roles that are bound to the account, and where. */
function rolesOf(manifests: readonly Manifest[], account: Account): string[] {
  return parsedAs(bindingSchema, manifests)
    .filter(({ subjects }) =>
      subjects.some(each => each.namespace === account?.namespace && each.name === account?.name),
    )
    .map(({ metadata, roleRef }) => `${roleRef.kind} ${roleRef.name} in ${metadata.namespace ?? 'all namespaces'}`)
    .toSorted()
}

function parsedAs<Schema extends v.GenericSchema>(schema: Schema, manifests: readonly Manifest[]) {
  return manifests
    .map(({ object }) => v.safeParse(schema, object))
    .flatMap(parsed => (parsed.success ? [parsed.output] : []))
}

async function readManifests(folder: string): Promise<Manifest[]> {
  const dir = join(DEPLOY, folder)
  const names = (await readdir(dir)).filter(name => name !== 'kustomization.yaml').toSorted()
  const texts = await Promise.all(names.map(name => readFile(join(dir, name), 'utf8')))
  return texts.flatMap(text =>
    parseAllDocuments(text).map(document => {
      const object: unknown = document.toJS()
      const { kind, metadata } = v.parse(manifestSchema, object)
      return { kind, name: metadata.name, text: JSON.stringify(object), object }
    }),
  )
}
