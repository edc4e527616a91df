import { type NixBuildStatus, nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { SPEC } from '../../deploy/nixbuilds.ts'
import type { TakenOverNode } from './taken-over-node.ts'

export const namespace = 'default'

/**
 * Writes NixBuilds as the shim of node a does, and their statuses before that as others do. Suites need different
 * prefixes of names.
 */
export function createNixBuildWriter({ deployed, shim }: TakenOverNode, prefix: string) {
  let made = 0

  /** A NixBuild with that status, written by others. */
  async function build(status: Partial<NixBuildStatus>): Promise<string> {
    made += 1
    const name = `${prefix}-${made}`
    await deployed().kube.create(nixBuilds, { namespace, name, body: { spec: SPEC } })
    const options = { type: 'apply', subresource: 'status', fieldManager: 'others' } as const
    await deployed().kube.patch(nixBuilds, { namespace, name, body: { status } }, options)
    return name
  }

  function create(metadata: object) {
    made += 1
    return shim().kube.create(nixBuilds, { namespace, name: managedName(made), body: { metadata, spec: SPEC } })
  }

  /** Writes as a shim does. */
  function apply(name: string, status: object, by = shim()) {
    const options = { type: 'apply', subresource: 'status', fieldManager: 'enbi-shim-a' } as const
    return by.kube.patch(nixBuilds, { namespace, name, body: { status } }, options)
  }

  function merge(name: string, status: object) {
    const options = { type: 'merge', subresource: 'status', fieldManager: 'enbi-shim-a' } as const
    return shim().kube.patch(nixBuilds, { namespace, name, body: { status } }, options)
  }

  async function read(name: string) {
    const found = await deployed().kube.get(nixBuilds, { namespace, name })
    if (!found) throw new Error(`there is no ${name}`)
    return found
  }

  return { build, create, apply, merge, read }
}

/** A name in the form of `nixBuildName`. */
export function managedName(number: number): string {
  return `app-${number.toString(16).padStart(16, '0')}`
}
