import { readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeKubeconfig } from '../../cluster/access.ts'
import { type OwnCluster, startCluster } from '../../cluster/cluster.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import { addGate, copyExample, type Example, lockExample } from '../../node/example.ts'
import { PATIENT } from '../../patience.ts'
import { countLogged } from '../pull/builds.ts'
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

describe('an API server', () => {
  let cluster: OwnCluster

  beforeAll(async () => {
    cluster = await startCluster({ without: ['scheduler'] })
    await cluster.installDeploy()
  })
  afterAll(async () => cluster?.[Symbol.asyncDispose]())

  it('that is unreachable does not affect pulls, and gets every status when it is back', async () => {
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

  it('that does not know NixNodes does not affect pulls and Events, and gets the NixNode when it does', async () => {
    await cluster.kubectl(['delete', 'crd', 'nixnodes.enbi.hrzn.ee'])
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

  it('delays no pull of a locked recipe, and only the first other pull, by the time limit of a look-up', async () => {
    const kubernetes = { kubeconfig, nodeName: 'nowhere', lookupTimeout: '300ms' }
    const shim = await bed.startShim({ config: { kubernetes } })
    const kubelet = bed.cri(shim.socket)
    const endedWaits = () => countLogged(shim, 'cannot look up a recipe in the cluster')
    const { url: flakeUrl } = await lockExample(formats, bed.run)
    const locked = { ...recipeOf('unaffected', 'oci-archive'), flakeUrl }
    await expect(kubelet.pullImage(podPull('team', locked))).resolves.toMatch(/^sha256:/)
    const stranger = { image: 'localhost:1/stranger:1', namespace: 'team' }
    expect(await endedWaits()).toBe(0)
    for (const _ of ['first', 'second']) {
      await expect(kubelet.pullImage(stranger)).rejects.toThrow()
      expect(await endedWaits()).toBe(1)
    }
    expect(await shim.daemon.stop()).toBe(0)
  })
})
