import { vi } from 'vitest'
import type { ObjectName } from '../../kube/client/contract.ts'
import { PATIENT } from '../patience.ts'
import type { World } from './world.ts'

/** Waits for the first NixBuild of the namespace. */
export function firstBuild(world: World, namespace: string): Promise<ObjectName> {
  return vi.waitFor(async () => {
    const [build] = await world.builds(namespace)
    if (!build) throw new Error('no NixBuild')
    return { namespace, name: build.metadata.name }
  }, PATIENT)
}
