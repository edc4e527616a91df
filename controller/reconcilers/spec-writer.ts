import type { Kube } from '../../kube/client/contract.ts'
import { CONTROLLER } from '../../kube/resources/names.ts'
import { nixNodes } from '../../kube/resources/nixnode.ts'
import type { NixNodeView } from '../views/nixnode.ts'

/** Writes a part of the specs of NixNodes that no other writer touches. */
export interface SpecWriter<Part> {
  /** The part as it is, or as it was just written: the watch may be behind. */
  read(nixNode: NixNodeView): Part
  write(nixNode: NixNodeView, part: Part): Promise<void>
  forget(node: string): void
}

export interface SpecWriterOptions<Part> {
  readonly kube: Pick<Kube, 'patch'>
  readonly partOf: (spec: NixNodeView['spec']) => Part
  /** A merge patch. */
  readonly bodyOf: (node: string, part: Part) => { readonly metadata?: object; readonly spec: object }
}

interface Written<Part> {
  readonly uid: string
  readonly generation: number
  readonly part: Part
}

export function createSpecWriter<Part>({ kube, partOf, bodyOf }: SpecWriterOptions<Part>): SpecWriter<Part> {
  const written = new Map<string, Written<Part>>()
  return {
    read({ name, uid, generation, spec }) {
      const own = written.get(name)
      return own?.uid === uid && generation < own.generation ? own.part : partOf(spec)
    },
    async write({ name, uid }, part) {
      const { metadata, spec } = bodyOf(name, part)
      const object = { name, body: { metadata: { ...metadata, uid }, spec } }
      const answer = await kube.patch(nixNodes, object, { type: 'merge', fieldManager: CONTROLLER })
      if (answer) written.set(name, { uid, generation: answer.metadata.generation, part })
    },
    forget: node => void written.delete(node),
  }
}
