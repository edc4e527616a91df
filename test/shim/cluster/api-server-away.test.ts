import { readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeKubeconfig } from '../../cluster/access.ts'
import { type Cluster, startCluster } from '../../cluster/cluster.ts'
import type { ControlPlane } from '../../cluster/control-plane.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { addGate, copyExample, type Example, lockExample } from '../../node/example.ts'
import { PATIENT } from '../../patience.ts'
import { eventsOf, podPull, startConnectedShim, untilBuilds } from './shim-with-cluster.ts'

let bed: Bed
let formats: Example
let gate: string

beforeAll(async () => {
  bed = await startBed()
  formats = await copyExample('formats', bed.dir)
  gate = await addGate(formats)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

function recipeOf(name: string, packageName: string) {
  return { image: `registry.example/away/${name}:1`, flakeUrl: formats.url, packageName }
}

describe('an API server that is unreachable', () => {
  let cluster: Cluster & { controlPlane: ControlPlane }

  beforeAll(async () => {
    cluster = await startCluster({ without: ['scheduler'] })
    await cluster.installDeploy()
  })
  afterAll(async () => cluster?.[Symbol.asyncDispose]())

  it('does not affect pulls, and gets every status when it is back', async () => {
    const connected = await startConnectedShim(cluster, bed)
    const namespace = await cluster.createNamespace()
    const { apiServer } = cluster.controlPlane
    const begun = connected.kubelet.pullImage(podPull(namespace, recipeOf('begun', 'gated')))
    await untilBuilds(cluster, connected.node, namespace, [{ state: 'Building' }])
    await apiServer.kill()
    await writeFile(gate, '')
    await expect(begun).resolves.toMatch(/^sha256:/)
    const whole = connected.kubelet.pullImage(podPull(namespace, recipeOf('whole', 'docker-archive'), 'whole'))
    await expect(whole).resolves.toMatch(/^sha256:/)
    await apiServer.start()
    await untilBuilds(cluster, connected.node, namespace, [{ state: 'Present' }, { state: 'Present' }])
    await expect
      .poll(() => eventsOf(cluster, namespace, 'whole'), PATIENT)
      .toContainEqual(expect.objectContaining({ reason: 'NixBuildSucceeded' }))
  })
})

describe('an API server that does not know NixNodes', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await startCluster({ without: ['scheduler', 'controllerManager'] })
    await cluster.installDeploy()
    await cluster.kubectl(['delete', 'crd', 'nixnodes.enbi.hrzn.ee'])
  })
  afterAll(async () => cluster?.[Symbol.asyncDispose]())

  it('does not affect pulls and Events, and gets the NixNode when it does', async () => {
    const connected = await startConnectedShim(cluster, bed)
    const pull = podPull('default', recipeOf('old-manifests', 'docker-archive'), 'old')
    await expect(connected.kubelet.pullImage(pull)).resolves.toMatch(/^sha256:/)
    await expect
      .poll(() => eventsOf(cluster, 'default', 'old'), PATIENT)
      .toContainEqual(expect.objectContaining({ reason: 'NixBuildSucceeded' }))
    await cluster.installDeploy()
    await untilBuilds(cluster, connected.node, 'default', [{ state: 'Present' }])
    const log = await readFile(connected.shim.daemon.logPath, 'utf8')
    expect(log.split('cannot write the NixNode')).toHaveLength(2)
  })
})

describe('an API server that never answers', () => {
  let server: Server
  let kubeconfig: string

  beforeAll(async () => {
    server = createServer(socket => socket.on('error', () => {}))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    kubeconfig = await writeKubeconfig({
      server: `https://127.0.0.1:${port}`,
      token: 'x',
      certificate: '',
      dir: bed.dir,
    })
  })
  afterAll(() => server?.close())

  const timed = async (work: Promise<unknown>) => {
    const begin = performance.now()
    await Promise.allSettled([work])
    return performance.now() - begin
  }
  const LOOKUP_MS = 1500

  it('delays no pull of a locked recipe, and only the first other pull, by the time limit of a look-up', async () => {
    const kubernetes = { kubeconfig, nodeName: 'nowhere', lookupTimeout: `${LOOKUP_MS}ms` }
    const shim = await bed.startShim({ config: { kubernetes } })
    const kubelet = bed.cri(shim.socket)
    const { url: flakeUrl } = await lockExample(formats, bed.run)
    const locked = { ...recipeOf('unaffected', 'oci-archive'), flakeUrl }
    await expect(kubelet.pullImage(podPull('team', locked))).resolves.toMatch(/^sha256:/)
    const stranger = { image: 'localhost:1/stranger:1', namespace: 'team' }
    const plain = await timed(bed.cri().pullImage(stranger))
    const first = await timed(kubelet.pullImage(stranger))
    const second = await timed(kubelet.pullImage(stranger))
    expect(first).toBeGreaterThan(LOOKUP_MS)
    expect(first).toBeLessThan(LOOKUP_MS + plain + 1000)
    expect(second).toBeLessThan(plain + 1000)
    expect(await shim.daemon.stop()).toBe(0)
  })
})
