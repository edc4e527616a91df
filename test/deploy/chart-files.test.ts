import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeChart } from '../../deploy/helm/chart.ts'
import { makeRules, RULES_FILE } from '../../deploy/helm/rules.ts'
import { makeTemplate, type TemplateOptions } from '../../deploy/helm/template.ts'
import { VALUES } from '../../deploy/helm/values.ts'
import { makeSchema } from '../../deploy/helm/values-file.ts'

const CHART = join(import.meta.dirname, '../../deploy/helm/enbi-shim')

describe('the chart in the repository', () => {
  it('is what `npm run chart` makes of the manifests', async () => {
    const chart = await makeChart()
    const entries = await readdir(CHART, { recursive: true, withFileTypes: true })
    const files = entries.filter(entry => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
    expect(files.toSorted()).toEqual([...chart.keys()].map(file => join(CHART, file)).toSorted())
    for (const [file, text] of chart) expect(await readFile(join(CHART, file), 'utf8'), file).toBe(text)
  })

  it('has the alerts as `npm run chart` makes them', async () => {
    expect(await readFile(RULES_FILE, 'utf8')).toBe(await makeRules())
  })
})

describe('the schema of the values', () => {
  const schema = makeSchema(VALUES)

  it('requires all values, because Helm drops those that are null', () => {
    const required = expect.arrayContaining(['image', 'replicas', 'crds', 'extraEnv', 'networkPolicy'])
    const crds = { required: ['enabled'] }
    expect(schema).toMatchObject({ required, properties: { crds } })
    expect(schema).not.toMatchObject({ required: expect.arrayContaining(['global']) })
  })

  it('refuses a NetworkPolicy that allows all, and a second NODE_OPTIONS', () => {
    const networkPolicy = { properties: { apiServer: { minItems: 1 } } }
    const extraEnv = { items: { properties: { name: { not: { const: 'NODE_OPTIONS' } } } } }
    expect(schema).toMatchObject({ properties: { networkPolicy, extraEnv } })
  })
})

describe('makeTemplate', () => {
  const none: TemplateOptions = { places: [], labels: {}, annotations: () => ({}), condition: () => undefined }
  const manifest = 'kind: A\nmetadata:\n  name: a\nspec:\n  # Why\n  text: 1\n'
  const place = { object: 'A/a', value: '.Values.text' }

  it('keeps comments', () => {
    expect(makeTemplate(manifest, none)).toBe(manifest)
  })

  it('writes the expression of a value in its place', () => {
    const places = [{ ...place, path: ['spec', 'text'] }]
    expect(makeTemplate(manifest, { ...none, places })).toContain('  text: {{ toJson .Values.text }}\n')
  })

  it('leaves the objects of other names as they are', () => {
    const places = [{ ...place, object: 'A/b', path: ['spec', 'text'] }]
    expect(makeTemplate(manifest, { ...none, places })).toBe(manifest)
  })

  it('gives an expression what the manifests have', () => {
    const places = [
      { ...place, path: ['spec', 'text'], write: (was: unknown, value: string) => `(add ${was} ${value})` },
    ]
    expect(makeTemplate(manifest, { ...none, places })).toContain('text: {{ toJson (add 1 .Values.text) }}\n')
  })

  it('leaves out an optional field while its value is empty', () => {
    const places = [{ ...place, path: ['spec', 'more'], isOptional: true }]
    expect(makeTemplate(manifest, { ...none, places })).toContain(
      '  {{- with .Values.text }}\n  more: {{ toJson . }}\n  {{- end }}\n',
    )
  })

  it('wraps an object in its condition', () => {
    const condition = (object: string) => (object === 'A/a' ? '.Values.a' : undefined)
    const other = 'kind: B\nmetadata:\n  name: a\n'
    expect(makeTemplate(`${manifest}---\n${other}`, { ...none, condition })).toBe(
      `{{- if .Values.a }}\n${manifest}{{- end }}\n---\n${other}`,
    )
  })

  it('does not let Helm evaluate what only looks like an expression', () => {
    expect(makeTemplate('kind: A\nmetadata:\n  name: "{{ x }}"\n', none)).toContain('name: "{{ "{{" }} x }}"')
  })

  it('adds labels and annotations', () => {
    const options = { ...none, labels: { a: 'b' }, annotations: (kind: string) => ({ kind }) }
    expect(makeTemplate(manifest, options)).toContain('  labels:\n    a: b\n  annotations:\n    kind: A\n')
  })
})
