import { expect, test } from 'vitest'
import { copyExample } from '../node/example.ts'
import { podEvents, podManifest, waitForPhase } from './pods.ts'
import { useCluster } from './use-cluster.ts'

test('a pod whose image is named after its store path runs without annotations', async () => {
  await using cluster = await useCluster()
  const policy = [{ namespaces: ['*'], images: ['nix:0/nix/store/*'] }]
  await using node = await cluster.addNode({ shim: { config: { policy } } })
  const { url } = await copyExample('formats', node.bed.dir)
  const { stdout } = await node.bed.run('nix', ['build', '--no-link', '--json', `${url}#docker-archive`])
  const pod = { namespace: await cluster.createNamespace(), name: 'named' }
  await cluster.apply(podManifest({ ...pod, node: node.name, image: `nix:0${JSON.parse(stdout)[0].outputs.out}` }))
  await waitForPhase(cluster, pod, 'Succeeded')
  expect((await podEvents(cluster, pod)).map(({ reason }) => reason)).not.toContain('Failed')
})
