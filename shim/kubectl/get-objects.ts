import * as v from 'valibot'
import { Document, visit } from 'yaml'
import type { Kind } from '../../kube/client/contract.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import type { UserKube } from '../commands/user-kube.ts'
import { createBuildFinder, missingBuild, noteDoubt, type Target } from './target.ts'

/** `lines`: JSON, a line for each NixBuild. */
export type ObjectFormat = 'lines' | 'json' | 'yaml'

export interface ObjectSelection {
  /** By default all of the namespace. */
  readonly target: Target | undefined
  readonly allNamespaces: boolean
}

export interface ObjectsIo {
  readonly format: ObjectFormat
  readonly notes: { write(text: string): unknown }
  readonly signal: AbortSignal
}

/** The NixBuilds as `kubectl get` prints them. Throws PullFailed and the errors of a Kube. */
export async function getObjects(selection: ObjectSelection, user: UserKube, io: ObjectsIo): Promise<string> {
  const { target, allNamespaces } = selection
  if (target === undefined) {
    const found: WholeObject[] = []
    const namespace = allNamespaces ? undefined : user.namespace
    await user.kube.list(wholeNixBuilds, { namespace }, object => found.push(object), { signal: io.signal })
    return printList(found, io.format)
  }
  if ('build' in target) {
    const object = (await getObject(target.build, user, io)) ?? missingBuild(target.build, user)
    return print(object, io.format)
  }
  const { builds, doubt } = await createBuildFinder(target, user).find(io.signal)
  if (doubt !== undefined) noteDoubt(doubt, io.notes)
  const found: WholeObject[] = []
  for (const { metadata } of builds) {
    const object = await getObject(metadata.name, user, io)
    if (object !== undefined) found.push(object)
  }
  return printList(found, io.format)
}

const wholeSchema = v.looseObject({ metadata: v.looseObject({}) })

type WholeObject = v.InferOutput<typeof wholeSchema>

/** kubectl, too, leaves out who has written which field. */
const wholeNixBuilds: Kind<WholeObject> = {
  ...nixBuilds,
  parse: object => {
    const { metadata, ...rest } = v.parse(wholeSchema, object)
    const { managedFields: _, ...shown } = metadata
    return { ...rest, metadata: shown }
  },
}

function getObject(name: string, { kube, namespace }: UserKube, { signal }: ObjectsIo) {
  return kube.get(wholeNixBuilds, { namespace, name }, { signal })
}

function printList(items: readonly WholeObject[], format: ObjectFormat): string {
  if (format === 'lines') return items.map(item => print(item, format)).join('')
  return print({ apiVersion: 'v1', items, kind: 'List', metadata: { resourceVersion: '' } }, format)
}

function print(object: object, format: ObjectFormat): string {
  const text = format === 'yaml' ? toYaml(object) : toJson(object, format === 'json' ? 4 : undefined)
  return text.replace(UNSEEN, unseen => `\\u${unseen.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/**
 * What a terminal obeys, some readers take for a line break, or changes the order of the text around it. JSON and YAML may contain it, except
 * for some in YAML.
 */
const UNSEEN = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

function toJson(object: object, indentation?: number): string {
  return `${JSON.stringify(object, null, indentation)}\n`
}

function toYaml(object: object): string {
  // kubectl and other readers take YAML 1.1, in which more texts need quotes.
  const document = new Document(object, { compat: 'yaml-1.1', aliasDuplicateObjects: false })
  visit(document, {
    Scalar(_, scalar) {
      // Only between these quotes, YAML knows escapes.
      if (typeof scalar.value === 'string' && scalar.value.search(UNSEEN) >= 0) scalar.type = 'QUOTE_DOUBLE'
    },
  })
  return document.toString()
}
