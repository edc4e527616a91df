import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ObjectName } from '../../kube/client/contract.ts'
import { apiTime } from '../../kube/resources/metadata.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import type { Controller } from '../cluster/controller.ts'
import { PATIENT } from '../patience.ts'
import { ANNOTATIONS } from './views.ts'
import { QUICK_ELECTION, startWorld, type World } from './world.ts'

let world: World
let node: string

beforeAll(async () => {
  world = await startWorld()
  node = await world.addNode()
})
afterAll(async () => world?.[Symbol.asyncDispose]())

/** A killed predecessor may still hold the Lease. */
const withFlags = (...flags: string[]): Promise<Controller> =>
  world.cluster.startController({ flags: [...QUICK_ELECTION, ...flags] })

/** A NixBuild for the image `app:TAG` that finishes now. */
async function addFinished(namespace: string, tag: string, status = 'Succeeded'): Promise<string> {
  const build = await world.addBuild(namespace, { imageTag: `app:${tag}` })
  await finish(build, status)
  return build.name
}

/** As a controller has written it. */
async function finish(build: ObjectName, status = 'Succeeded'): Promise<void> {
  const body = { status: { status, buildNode: node, completionTime: apiTime(Date.now()) } }
  await world.kube.patch(nixBuilds, { ...build, body }, { type: 'merge', subresource: 'status', fieldManager: 'test' })
}

async function namesIn(namespace: string): Promise<string[]> {
  return (await world.builds(namespace)).map(({ metadata }) => metadata.name)
}

const waitForNames = (namespace: string, names: readonly string[]) =>
  vi.waitFor(async () => expect((await namesIn(namespace)).sort()).toEqual(names.toSorted()), PATIENT)

describe('finished NixBuilds', () => {
  it('beyond the count of a namespace are removed, the oldest first', async () => {
    const [namespace, other] = [await world.createNamespace(), await world.createNamespace()]
    const elsewhere = await addFinished(other, 'a')
    const [, second, third] = [
      await addFinished(namespace, 'a'),
      await addFinished(namespace, 'b', 'Failed'),
      await addFinished(namespace, 'c'),
    ]
    await using _controller = await withFlags('--keep-finished=2')
    await waitForNames(namespace, [second, third])
    const fourth = await addFinished(namespace, 'd')
    await waitForNames(namespace, [third, fourth])
    expect(await namesIn(other)).toEqual([elsewhere])
  })

  it('are removed when they are too old', async () => {
    const namespace = await world.createNamespace()
    const unfinished = await world.addBuild(namespace, { imageTag: 'app:c', system: 'riscv64-linux' })
    await using _controller = await withFlags('--keep-finished-for=3s')
    const young = await addFinished(namespace, 'b')
    const { completionTime = '' } = (await world.build({ namespace, name: young }))?.status ?? {}
    await waitForNames(namespace, [unfinished.name])
    expect(Date.now() - Date.parse(completionTime)).toBeGreaterThanOrEqual(3000)
  })

  it('stay while a pod uses them, with or without annotations', async () => {
    const namespace = await world.createNamespace()
    const annotations = { ...ANNOTATIONS, 'enbi.hrzn.ee/nixbuild-imageTag': 'app:annotated' }
    const pod = await world.addPod(namespace, node, { annotations, image: 'app:annotated' })
    await world.addPod(namespace, node, { annotations: {}, image: 'app:plain' })
    await world.addPod(namespace, node, { annotations: {}, image: 'app:named' })
    const [annotated, plain] = [await addFinished(namespace, 'annotated'), await addFinished(namespace, 'plain')]
    const ofName = await world.addNamedBuild(namespace, 'app:named')
    await finish(ofName)
    await addFinished(namespace, 'unused')
    await using _controller = await withFlags('--keep-finished=0')
    await waitForNames(namespace, [annotated, plain, ofName.name])
    await world.cluster.kubectl(['delete', 'pod', pod.name, `--namespace=${namespace}`, '--force', '--grace-period=0'])
    await waitForNames(namespace, [plain, ofName.name])
  })
})
