import { expect, it, vi } from 'vitest'
import { PATIENT } from '../patience.ts'
import { ANNOTATIONS } from './views.ts'
import { startWorld } from './world.ts'

it('deleting a ReplicaSet deletes its NixBuild', async () => {
  await using world = await startWorld()
  const { cluster } = world
  await cluster.controlPlane.controllerManager.start()
  const node = await world.addNode()
  const namespace = await world.createNamespace()
  await using _controller = await cluster.startController()
  const labels = { app: 'web' }
  const spec = { nodeName: node, containers: [{ name: 'app', image: 'app:1' }] }
  await cluster.apply({
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'web', namespace },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels, annotations: ANNOTATIONS }, spec },
    },
  })
  await vi.waitFor(async () => {
    const builds = await world.builds(namespace)
    expect(builds).toMatchObject([{ metadata: { ownerReferences: [{ kind: 'ReplicaSet', name: 'web' }] } }])
  }, PATIENT)
  const [build] = await world.builds(namespace)
  await world.report(node, { namespace, name: build?.metadata.name ?? '' }, { state: 'Present' })
  await cluster.kubectl(['delete', 'replicaset/web', `--namespace=${namespace}`, '--wait=false'])
  await vi.waitFor(async () => expect(await world.builds(namespace)).toEqual([]), PATIENT)
})
