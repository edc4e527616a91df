import { expect, it } from 'vitest'
import { createNamespaceReconciler } from '../../../controller/reconcilers/namespace-reconciler.ts'
import { createBuilds } from '../../../controller/state/builds.ts'
import { createPods } from '../../../controller/state/pods.ts'
import { CONTROLLER, MANAGED_BY_LABEL, SHIM, shimFieldManager } from '../../../kube/resources/names.ts'
import { time } from '../../../kube/resources/time.ts'
import { someBuild } from '../../controller/views.ts'

const HOUR_MS = 3_600_000
const LIMITS = { keepFinished: 2, keepFinishedForMs: 24 * HOUR_MS }
const NODE = 'taken-over'

interface Finished {
  readonly name: string
  /** By the API server's clock, in hours before now. */
  readonly createdHours?: number
  readonly writtenHours?: number
  /** As the node says. */
  readonly completionTime: string
  readonly managedBy?: string
}

function finished({ name, createdHours = 2, writtenHours = 1, completionTime, managedBy }: Finished) {
  const at = (hours: number) => time(Date.now() - hours * HOUR_MS)
  const manager = { manager: shimFieldManager(NODE), subresource: 'status', time: at(writtenHours) }
  return someBuild({
    metadata: {
      ...{ name, uid: name, creationTimestamp: at(createdHours), managedFields: [manager] },
      labels: managedBy === undefined ? {} : { [MANAGED_BY_LABEL]: managedBy },
    },
    status: { status: 'Succeeded', buildNode: NODE, completionTime },
  })
}

/** Names of those that the controller deletes, in order. */
async function removed(...builds: readonly Finished[]): Promise<string[]> {
  const views = new Map(builds.map(build => [`team/${build.name}`, finished(build)]))
  const onNothing = () => undefined
  const state = {
    builds: createBuilds({
      ...{ mirrored: key => views.get(key), allMirrored: () => views.values() },
      onLost: onNothing,
      onImage: onNothing,
    }),
    pods: createPods({
      mirrored: onNothing,
      systemOf: onNothing,
      recipesOf: () => [],
      onPod: onNothing,
      onWant: onNothing,
    }),
  }
  for (const key of views.keys()) state.builds.changed(key)
  const deleted: string[] = []
  const kube = {
    list: async () => '1',
    delete: async (_kind: unknown, { name }: { readonly name: string }) => void deleted.push(name),
  }
  await createNamespaceReconciler({ state, kube, limits: LIMITS })('team')
  return deleted
}

it('NixBuilds that a node calls finished in the far future do not push out those that finished after them', async () => {
  const forged = ['a', 'b'].map(name => ({ name, writtenHours: 1.5, completionTime: '9999-12-31T23:59:59Z' }))
  const honest = ['c', 'd'].map(name => ({ name, completionTime: time(Date.now() - HOUR_MS) }))
  expect((await removed(...forged, ...honest)).toSorted()).toEqual(['a', 'b'])
})

it('a NixBuild that a node calls finished in the far past is not deleted as one that is too old', async () => {
  const old = { name: 'by-hand', createdHours: 1000, completionTime: '1970-01-01T00:00:00Z' }
  expect(await removed(old)).toEqual([])
})

it('a flood of NixBuilds that a shim makes pushes out none of people or of the controller', async () => {
  const completionTime = time(Date.now() - HOUR_MS)
  const flood = Array.from({ length: 5 }, (_, index) => {
    return { name: `flood-${index}`, writtenHours: 0.1, completionTime, managedBy: SHIM }
  })
  const others = [
    { name: 'by-hand', completionTime },
    { name: 'by-controller', completionTime, managedBy: CONTROLLER },
  ]
  const names = await removed(...flood, ...others)
  expect(names).toHaveLength(3)
  expect(names.filter(name => !name.startsWith('flood-'))).toEqual([])
})
