import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Cluster } from '../../../cluster/cluster.ts'
import { useCluster } from '../../../cluster/use-cluster.ts'
import { type Bed, startBed } from '../../../node/bed.ts'
import { copyExample, type Example, lockExample } from '../../../node/example.ts'
import { PATIENT } from '../../../patience.ts'
import { countBuilds, countLogged } from '../../pull/builds.ts'
import { type ConnectedShim, eventsOf, nixBuildManifest, podPull, startConnectedShim } from '../shim-with-cluster.ts'

let bed: Bed
let cluster: Cluster
let formats: Example
let connected: ConnectedShim
let line: Line

beforeAll(async () => {
  const [startedBed, startedCluster] = await Promise.all([startBed(), useCluster()])
  bed = startedBed
  cluster = startedCluster
  formats = await lockExample(await copyExample('formats', bed.dir), bed.run)
  line = await openLine(cluster.access.server)
  connected = await startConnectedShim(cluster, bed, { config: { log: { level: 'debug' } }, server: line.url })
})
afterAll(async () => {
  line?.cut()
  await connected?.[Symbol.asyncDispose]()
  await bed?.[Symbol.asyncDispose]()
  await cluster?.[Symbol.asyncDispose]()
})

async function applyNixBuild(namespace: string, image: string, packageName: string): Promise<void> {
  const spec = { imageTag: image, flakeUrl: formats.url, packageName }
  await cluster.apply(nixBuildManifest(namespace, 'by-hand', spec))
}

describe('a pod whose image was rewritten, so that its annotation names another one', () => {
  it('gets an Event that names both when the image cannot be pulled', async () => {
    const namespace = await cluster.createNamespace()
    const recipe = { image: 'registry.example/team/app:1', flakeUrl: formats.url, packageName: 'docker-archive' }
    const pull = { ...podPull(namespace, recipe, 'rewritten'), image: 'localhost:1/mirror/team/app:1' }
    await expect(connected.kubelet.pullImage(pull)).rejects.toMatchObject({ code: expect.any(Number) })
    const message = expect.stringMatching(/names "registry\.example.*the nearest is "localhost:1\/mirror\/team\/app:1"/)
    await expect
      .poll(() => eventsOf(cluster, namespace, 'rewritten'), PATIENT)
      .toContainEqual({ type: 'Warning', reason: 'NixBuildMismatch', message })
  })
})

describe('the image that a NixBuild made by hand gives to pods without annotations', () => {
  it('is not present any more when the NixBuild has another recipe for the same tag, until it is pulled again', async () => {
    const namespace = await cluster.createNamespace()
    const image = 'registry.example/by-hand/changed:1'
    const { kubelet, shim } = connected
    const pull = () => kubelet.pullImage({ image, namespace })
    await applyNixBuild(namespace, image, 'docker-archive')
    const first = await pull()
    expect(await kubelet.imageStatus(image)).toMatchObject({ id: first })
    await cluster.kubectl(['delete', 'nixbuild', 'by-hand', `--namespace=${namespace}`])
    await applyNixBuild(namespace, image, 'oci-layout')
    expect(await kubelet.imageStatus(image)).toBeUndefined()
    expect(
      await countLogged(shim, 'an image counts as not present', 'its NixBuild has another recipe now'),
    ).toBeGreaterThan(0)
    const second = await pull()
    expect(await kubelet.imageStatus(image)).toMatchObject({ id: second })
    expect(await countBuilds(shim, image)).toBe(2)
  })

  it('is not asked of a registry while the API server is away, unlike other images', async () => {
    const namespace = await cluster.createNamespace()
    const image = 'localhost:1/by-hand/away:1'
    const { kubelet } = connected
    await applyNixBuild(namespace, image, 'docker-archive')
    await kubelet.pullImage({ image, namespace })
    await kubelet.removeImage(image)
    line.cut()
    await expect(kubelet.pullImage({ image, namespace })).rejects.toMatchObject({
      details: expect.stringContaining('the image is not pulled from a registry'),
    })
    await expect(kubelet.pullImage({ image: 'localhost:1/stranger:1', namespace })).rejects.toMatchObject({
      details: expect.stringContaining('localhost:1'),
    })
  })
})

/** A way to the API server that can be cut. */
interface Line {
  readonly url: string
  cut(): void
}

async function openLine(to: string): Promise<Line> {
  const { hostname, port } = new URL(to)
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    const upstream = connect(Number(port), hostname)
    for (const one of [socket, upstream]) sockets.add(one.on('error', () => {}))
    socket.pipe(upstream).pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: own } = server.address() as AddressInfo
  return {
    url: `https://127.0.0.1:${own}`,
    cut() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
