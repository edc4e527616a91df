import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { type Document, parse, parseAllDocuments, stringify } from 'yaml'
import { makeTemplate } from './template.ts'
import { conditionOf, VALUES } from './values.ts'
import { makeSchema, writeValues } from './values-file.ts'

const DEPLOY = join(import.meta.dirname, '..')
/** What the chart is made of. Each is a part of the release only with its value (values.ts), except for the base. */
const SOURCES = ['base', 'components/fixed-images', 'components/token', 'components/prometheus-operator']
const GENERATED = '# Made by `npm run chart` from the manifests in deploy/: change those.\n'
/** An object of this chart stays when the release is uninstalled: with the types, Kubernetes would delete all NixBuilds. */
const KEEP = { 'helm.sh/resource-policy': 'keep' }

/** The files of the chart, each with its text. */
export async function makeChart(): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  const manifests: Document[] = []
  for (const source of SOURCES) {
    const { resources, labels } = await readKustomization(source)
    for (const { name, text } of resources) {
      manifests.push(...parseAllDocuments(text))
      const template = makeTemplate(text, { places: PLACES, labels, annotations, condition: conditionOf })
      const file = `templates/${name}`
      if (files.has(file)) throw new Error(`two files of manifests are called ${name}`)
      files.set(file, GENERATED + template)
    }
  }
  files.set('Chart.yaml', GENERATED + stringify(await describeChart()))
  files.set('values.yaml', GENERATED + writeValues(VALUES, manifests))
  files.set('values.schema.json', `${JSON.stringify(makeSchema(VALUES), undefined, 2)}\n`)
  return files
}

const PLACES = VALUES.flatMap(({ key, places = [] }) => places.map(place => ({ ...place, value: `.Values.${key}` })))

function annotations(kind: string) {
  return kind === 'CustomResourceDefinition' ? KEEP : {}
}

const kustomizationSchema = v.object({
  resources: v.array(v.string()),
  labels: v.optional(v.array(v.object({ pairs: v.record(v.string(), v.string()) })), []),
})

/** The files of a kustomization, those of the folders that it names included, and the labels of all of them. */
async function readKustomization(folder: string): Promise<{
  readonly resources: readonly { readonly name: string; readonly text: string }[]
  readonly labels: Readonly<Record<string, string>>
}> {
  const read = (path: string) => readFile(join(DEPLOY, folder, path), 'utf8')
  const { resources, labels } = v.parse(kustomizationSchema, parse(await read('kustomization.yaml')))
  const found = await Promise.all(
    resources.map(async path => {
      if (!path.endsWith('.yaml')) return (await readKustomization(join(folder, path))).resources
      // In a chart all files are in one folder.
      const name = folder.startsWith('components/') || folder === 'crd' ? `${folder.replace(/.*\//, '')}-${path}` : path
      return [{ name, text: await read(path) }]
    }),
  )
  return { resources: found.flat(), labels: Object.assign({}, ...labels.map(({ pairs }) => pairs)) }
}

async function describeChart() {
  const schema = v.object({ version: v.string(), license: v.string() })
  const { version } = v.parse(schema, JSON.parse(await readFile(join(DEPLOY, '../package.json'), 'utf8')))
  return {
    apiVersion: 'v2',
    name: 'enbi-shim',
    description: "The cluster's part of enbi-shim: custom resources, rights, policies and the controller",
    type: 'application',
    version,
    appVersion: version,
    kubeVersion: '>=1.31.0-0',
  }
}
