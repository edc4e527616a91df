import { expect, it } from 'vitest'
import { createNamespaceReconciler } from '../../../controller/reconcilers/namespace-reconciler.ts'
import { createBuilds } from '../../../controller/state/builds.ts'
import { createPods } from '../../../controller/state/pods.ts'
import { apiTime } from '../../../kube/resources/metadata.ts'
import { CONTROLLER, MANAGED_BY_LABEL, SHIM, shimFieldManager } from '../../../kube/resources/names.ts'
import { someBuild } from '../../controller/views.ts'

const HOUR_MS = 3_600_000
const LIMITS = { keepFinished: 2, keepFinishedForMs: 24 * HOUR_MS }
const NODE = 'taken-over'

interface Finished {
  readonly name: string
  /** Age in hours by the API server's clock. */
  readonly createdHours?: number
  readonly writtenHours?: number
  /** The end that the node reports. */
  readonly completionTime: string
  readonly managedBy?: string
}

function finished({ name, createdHours = 2, writtenHours = 1, completionTime, managedBy }: Finished) {
  const at = (hours: number) => apiTime(Date.now() - hours * HOUR_MS)
  const manager = { manager: shimFieldManager(NODE), subresource: 'status', time: at(writtenHours) }
  return someBuild({
    metadata: {
      ...{ name, uid: name, creationTimestamp: at(createdHours), managedFields: [manager] },
      labels: managedBy === undefined ? {} : { [MANAGED_BY_LABEL]: managedBy },
    },
    status: { status: 'Succeeded', buildNode: NODE, completionTime },
  })
}

/** The names of the NixBuilds that the controller deletes, in order. */
async function removed(...builds: readonly Finished[]): Promise<string[]> {
  const views = new Map(builds.map(build => [`team/${build.name}`, finished(build)]))
  const onNothing = () => undefined
  const state = {
    builds: createBuilds({
      ...{ mirrored: key => views.get(key), allMirrored: () => views.values() },
      onUnconfirmedWrite: onNothing,
      onImage: onNothing,
      onNode: onNothing,
    }),
    pods: createPods({
      mirrored: onNothing,
      systemOf: onNothing,
      recipesOf: () => [],
      onPod: onNothing,
      onRequest: onNothing,
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

it('retention keeps newer NixBuilds although a node reports that older ones finish in the far future', async () => {
  const forged = ['a', 'b'].map(name => ({ name, writtenHours: 1.5, completionTime: '9999-12-31T23:59:59Z' }))
  const honest = ['c', 'd'].map(name => ({ name, completionTime: apiTime(Date.now() - HOUR_MS) }))
  expect((await removed(...forged, ...honest)).toSorted()).toEqual(['a', 'b'])
})

it('retention keeps a new NixBuild although a node reports that it finished in the far past', async () => {
  const old = { name: 'by-hand', createdHours: 1000, completionTime: '1970-01-01T00:00:00Z' }
  expect(await removed(old)).toEqual([])
})

it("retention deletes none of the users' or the controller's NixBuilds because a shim creates very many", async () => {
  const completionTime = apiTime(Date.now() - HOUR_MS)
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
