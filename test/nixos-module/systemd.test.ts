import { basename } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { IMAGES } from '../import/native/images.ts'
import { startBed } from '../node/bed.ts'
import { recipePull } from '../node/recipe-pull.ts'
import { writeStoreImages } from '../node/store-image.ts'
import { installShim } from '../systemd/install-shim.ts'
import { type SystemdNode, startSystemdNode } from '../systemd/systemd-node.ts'
import { evaluateMachines, theMachine, type UnitOptions } from './evaluate.ts'
import { renderUnit } from './unit-file.ts'

const SOCKET = '/run/enbi-shim/enbi-shim.sock'
const CONFIG = "policy: [{ namespaces: ['*'], images: ['**'], flakes: ['path:/**'] }]\n"

let node: SystemdNode
beforeAll(async () => {
  const { service, socket } = await evaluateUnits()
  node = await startSystemdNode()
  await installShim(node, { service: renderUnit(withProgramsOf(service)), socket: renderUnit(socket) }, CONFIG)
})
afterAll(() => node?.[Symbol.asyncDispose]())

test('the units of the module build, link layers and run the image under a real systemd', async () => {
  const { dir } = await writeStoreImages(node.outside('/srv'), IMAGES, '/usr/local/bin/node')
  const pull = recipePull({
    image: 'registry.example/small:1',
    flakeUrl: `path:/srv/${basename(dir)}`,
    packageName: 'conf.small',
  })
  const imageId = await node.cri(SOCKET).pullImage(pull)
  expect(await node.journal('enbi-shim')).toContain('by hard links, through /run/enbi-shim/root')
  const command = ['/bin/busybox', 'sh', '-c', 'stat -c "%h %u" /nix/store/*-many/share/folder-0/file-0']
  expect(await node.runPod({ imageId, command })).toEqual({ exitCode: 0, output: '2 0\n' })
})

async function evaluateUnits() {
  await using bed = await startBed({ without: ['containerd', 'nix'], daemon: false })
  const { services, sockets } = theMachine(await evaluateMachines(bed), 'kubelet')
  const [service, socket] = [services['enbi-shim'], sockets['enbi-shim']]
  if (service === undefined || socket === undefined) throw new Error('the module has made no units')
  return { service, socket }
}

/** The node is no NixOS: its programs and the config are elsewhere, all else is the module's. */
function withProgramsOf(service: UnitOptions): UnitOptions {
  const ExecStart = '/usr/local/bin/enbi-shim serve --config /etc/enbi-shim/config.yaml'
  return { ...service, path: ['/usr/local', '/usr'], serviceConfig: { ...service.serviceConfig, ExecStart } }
}
