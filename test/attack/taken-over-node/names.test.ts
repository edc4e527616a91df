import { expect, it } from 'vitest'
import { createNixBuildCreator } from '../../../controller/reconcilers/create-nixbuild.ts'
import { createPodReconciler } from '../../../controller/reconcilers/pod-reconciler.ts'
import { createBuilds } from '../../../controller/state/builds.ts'
import { createNodeBuilds } from '../../../controller/state/node-builds.ts'
import { createNodes } from '../../../controller/state/nodes.ts'
import { createPods } from '../../../controller/state/pods.ts'
import type { NixBuildView } from '../../../controller/views/nixbuild.ts'
import type { Kind, Kube, ObjectName } from '../../../kube/client/contract.ts'
import { nixBuildNames } from '../../../kube/resources/names.ts'
import { nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { READY_NODE, someBuild, somePod } from '../../controller/views.ts'

const SPEC = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }
const NAMES = nixBuildNames(recipeOf({ spec: SPEC }))

/** A NixBuild made by hand under a name that the recipe of the pod needs. */
function squatter(name: string): NixBuildView {
  return someBuild({ metadata: { name }, spec: { ...SPEC, flakeUrl: 'github:team/other' } })
}

/** The names of the NixBuilds that the controller creates for an annotated pod, beside those NixBuilds. */
async function make(...squatters: readonly NixBuildView[]): Promise<string[]> {
  const done: string[] = []
  const views = new Map(squatters.map(build => [`team/${build.name}`, build]))
  const pod = somePod()
  const onNothing = () => undefined
  const nodes = createNodes({
    ...{ mirrored: () => READY_NODE, allMirrored: () => [READY_NODE], onChange: onNothing, now: Date.now },
    ...{ isFetchOnly: () => false, repels: () => false, tolerations: [] },
  })
  const pods = createPods({
    mirrored: () => pod,
    allMirrored: () => [],
    keepLess: onNothing,
    systemOf: nodes.systemOf,
    recipesOf: () => [],
    onPod: onNothing,
    onRequest: onNothing,
  })
  const builds = createBuilds({
    ...{
      mirrored: key => views.get(key),
      allMirrored: () => views.values(),
      onUnconfirmedWrite: onNothing,
      onImage: onNothing,
      onNamespace: () => {},
      isSynced: () => true,
      onNode: () => {},
    },
  })
  for (const key of views.keys()) builds.changed(key)
  pods.changed('team/web')
  const kube: Pick<Kube, 'create' | 'patch'> = {
    async create<T>(kind: Kind<T>, { name, body }: ObjectName & { readonly body: object }) {
      if (views.has(`team/${name}`)) throw new RetryableError('ClusterConflict', 'already exists')
      done.push(`make ${name}`)
      const { metadata } = nixBuilds.parse({ metadata: METADATA, spec: SPEC })
      return kind.parse({ ...body, metadata: { ...metadata, namespace: 'team', name } })
    },
    patch: async () => undefined,
  }
  const state = { pods, builds, nodes, nodeBuilds: createNodeBuilds() }
  const createNixBuild = createNixBuildCreator({ state, kube })
  const events = { record: onNothing }
  const work = createPodReconciler({ state, kube, createNixBuild, events, writesConditions: true })
  await work('team/web').catch(error => done.push(error.code))
  return done
}

const METADATA = { name: 'a', uid: 'made', resourceVersion: '2', creationTimestamp: '2026-01-01T00:00:00Z' }

it('the controller keeps a NixBuild that a user created under the name of another recipe, and gives that recipe another name', async () => {
  const [first, second] = NAMES
  expect(await make(squatter(first))).toEqual([`make ${second}`])
})

it('the controller creates no NixBuild for a recipe while all of its names are taken', async () => {
  expect(await make(...NAMES.map(name => squatter(name)))).toEqual(['ClusterConflict'])
})
