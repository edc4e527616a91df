import * as v from 'valibot'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { PATIENCE } from '../patience.ts'
import { useCluster } from './use-cluster.ts'

test('a service account has no rights by default', async () => {
  await using cluster = await useCluster()
  const namespace = await cluster.createNamespace()
  const token = await cluster.createToken({ namespace, serviceAccount: 'default' })
  const kubeconfig = await cluster.kubeconfig({ token })
  await expect(cluster.kubectl(['get', 'pods', '-n', namespace], { kubeconfig })).rejects.toThrow(
    /cannot list resource/,
  )
})

test('a client can impersonate a kubelet, which may change only its own node', async () => {
  await using cluster = await useCluster()
  const kubeconfig = await cluster.kubeconfig({ name: 'system:node:one', groups: ['system:nodes'] })
  const node = (name: string) => stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name } })
  await expect(cluster.kubectl(['create', '-f-'], { kubeconfig, input: node('two') })).rejects.toThrow(
    /node "one" is not allowed to modify node "two"/,
  )
})

test("a cluster provides the project's own client", async () => {
  await using cluster = await useCluster()
  const name = await cluster.createNamespace()
  const parse = v.parser(v.object({ metadata: v.object({ name: v.string() }) }))
  const namespaces = { apiVersion: 'v1', kind: 'Namespace', plural: 'namespaces', namespaced: false, parse }
  expect(await cluster.client().get(namespaces, { name })).toEqual({ metadata: { name } })
})

test('a namespace is deleted when its cluster object is disposed of', async () => {
  await using looking = await useCluster()
  let name: string
  {
    await using cluster = await useCluster()
    name = await cluster.createNamespace()
    await cluster.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one', namespace: name } })
    expect(await cluster.read(`/api/v1/namespaces/${name}/configmaps/one`)).toMatchObject({ metadata: { name: 'one' } })
  }
  await looking.kubectl(['wait', '--for=delete', `namespace/${name}`, `--timeout=${PATIENCE}`])
})
