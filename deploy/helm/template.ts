import { type Document, parseAllDocuments } from 'yaml'

/** Where a value of the chart goes. */
export interface Place {
  /** `KIND/NAME` */
  readonly object: string
  readonly path: readonly (string | number)[]
  /** The manifests have nothing there: it is left out while the value is empty. */
  readonly isOptional?: boolean
  /** Writes the expression of the template from what the manifests have there and from that of the value. */
  readonly write?: (inManifests: unknown, value: string) => string
}

export interface TemplateOptions {
  /** The places, each with an expression such as `.Values.replicas`. */
  readonly places: readonly (Place & { readonly value: string })[]
  /** Labels of all objects. */
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: (kind: string) => Readonly<Record<string, string>>
  /** The condition under which an object (`KIND/NAME`) is part of the release. */
  readonly condition: (object: string) => string | undefined
}

const LINE_WIDTH = 140

/** Makes a template of Helm from the text of manifests. Comments stay. */
export function makeTemplate(manifests: string, options: TemplateOptions): string {
  const texts = parseAllDocuments(manifests).map(document => {
    const condition = options.condition(nameOf(document))
    const text = fillDocument(document, options)
    return condition === undefined ? text : `{{- if ${condition} }}\n${text}{{- end }}\n`
  })
  return texts.join('---\n')
}

/** What manifests have at a place. */
export function readPlace(manifests: readonly Document[], { object, path }: Place): unknown {
  const document = manifests.find(one => nameOf(one) === object)
  if (!document?.hasIn(path)) throw new Error(`the manifests have nothing at ${path.join('.')} of ${object}`)
  return valueIn(document, path)
}

function fillDocument(document: Document, { places, labels, annotations }: TemplateOptions): string {
  const object = nameOf(document)
  const kind = object.replace(/\/.*/, '')
  for (const [key, value] of Object.entries(labels)) document.setIn(['metadata', 'labels', key], value)
  for (const [key, value] of Object.entries(annotations(kind))) document.setIn(['metadata', 'annotations', key], value)
  const own = places.filter(place => place.object === object)
  const expressions = own.map(({ path, isOptional, write, value }, index) => {
    if (isOptional) {
      document.setIn([...path.slice(0, -1), `${OPTIONAL}${index}`], '')
      return `$1{{- with ${value} }}\n$1${path.at(-1)}: {{ toJson . }}\n$1{{- end }}`
    }
    const expression = write ? write(valueIn(document, path), value) : value
    document.setIn(path, `${FILLED}${index}`)
    return `{{ toJson ${expression} }}`
  })
  // What looks like an expression is text, as in the alerts.
  const text = document
    .toString({ lineWidth: LINE_WIDTH })
    .replace(/^---\n/, '')
    .replaceAll('{{', '{{ "{{" }}')
  return expressions.reduce((filled, expression, index) => {
    const optional = new RegExp(`^( *)${OPTIONAL}${index}: ""$`, 'm')
    return filled.replace(optional, expression).replace(new RegExp(`\\b${FILLED}${index}\\b`), () => expression)
  }, text)
}

const FILLED = 'FILLED_BY_VALUE_'
const OPTIONAL = 'ADDED_BY_VALUE_'

function nameOf(document: Document): string {
  return `${document.get('kind')}/${document.getIn(['metadata', 'name'])}`
}

function valueIn(document: Document, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((value, key) => Object(value)[key], document.toJS())
}
