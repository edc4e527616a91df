import { expect, it } from 'vitest'
import { createNamespaceReconciler } from '../../../controller/reconcilers/namespace-reconciler.ts'
import { createBuilds } from '../../../controller/state/builds.ts'
import { createPods } from '../../../controller/state/pods.ts'
import { apiTime } from '../../../kube/resources/metadata.ts'
import { CONTROLLER, MANAGED_BY_LABEL, SHIM } from '../../../kube/resources/names.ts'
import { someBuild } from '../../controller/views.ts'

const HOUR_MS = 3_600_000
const LIMITS = { keepFinished: 2, keepFinishedForMs: 24 * HOUR_MS }
const NODE = 'taken-over'

interface Finished {
  readonly name: string
  readonly completionTime: string
  readonly managedBy?: string
}

function finished({ name, completionTime, managedBy }: Finished) {
  return someBuild({
    metadata: {
      ...{ name, uid: name, creationTimestamp: apiTime(Date.now() - 2 * HOUR_MS) },
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
      onNamespace: () => {},
      isSynced: () => true,
      onNode: () => {},
    }),
    pods: createPods({
      mirrored: onNothing,
      allMirrored: () => [],
      keepLess: onNothing,
      systemOf: onNothing,
      recipesOf: () => [],
      onPod: onNothing,
      onRequest: onNothing,
    }),
  }
  for (const key of views.keys()) state.builds.changed(key)
  const deleted: string[] = []
  const kube = {
    delete: async (_kind: unknown, { name }: { readonly name: string }) => void deleted.push(name),
  }
  await createNamespaceReconciler({ state, kube, limits: LIMITS })('team')
  return deleted
}

it("retention deletes none of the users' or the controller's NixBuilds because a shim names very many", async () => {
  const completionTime = apiTime(Date.now() - HOUR_MS)
  const flood = Array.from({ length: 5 }, (_, index) => {
    return { name: `flood-${index}`, completionTime: apiTime(Date.now()), managedBy: SHIM }
  })
  const others = [
    { name: 'by-hand', completionTime },
    { name: 'by-controller', completionTime, managedBy: CONTROLLER },
  ]
  const names = await removed(...flood, ...others)
  expect(names).toHaveLength(3)
  expect(names.filter(name => !name.startsWith('flood-'))).toEqual([])
})
