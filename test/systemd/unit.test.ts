import { basename } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { IMAGES } from '../import/native/images.ts'
import { copyExample } from '../node/example.ts'
import { recipePull } from '../node/recipe-pull.ts'
import { writeStoreImages } from '../node/store-image.ts'
import { installShim, readUnits } from './install-shim.ts'
import { type SystemdNode, startSystemdNode } from './systemd-node.ts'

const SOCKET = '/run/enbi-shim/enbi-shim.sock'
const CONFIG = `
shutdownTimeout: 1s
policy:
  - { namespaces: ['*'], images: ['**'], flakes: ['path:/**'] }
`

let node: SystemdNode
beforeAll(async () => {
  node = await startSystemdNode()
  await installShim(node, await readUnits(), CONFIG)
})
afterAll(() => node?.[Symbol.asyncDispose]())

test('systemd finds nothing to complain about', async () => {
  const units = ['service', 'socket'].map(kind => `/etc/systemd/system/enbi-shim.${kind}`)
  const { stdout, stderr } = await node.run('systemd-analyze', ['verify', ...units])
  expect([stdout, stderr]).toEqual(['', ''])
})

test('layers of store paths are hard links, made through the mount of the unit; files of another owner are copied', async () => {
  const { dir } = await writeStoreImages(node.outside('/srv'), IMAGES, '/usr/local/bin/node')
  const flake = `path:/srv/${basename(dir)}`
  const imageId = await pull('registry.example/small:1', flake, 'conf.small')
  expect(await node.journal('enbi-shim')).toContain('by hard links, through /run/enbi-shim/root')
  const command = ['/bin/busybox', 'sh', '-c', 'stat -c "%h %u" /nix/store/*-many/share/folder-0/file-0']
  expect(await node.runPod({ imageId, command })).toEqual({ exitCode: 0, output: '2 0\n' })

  const ownedId = await pull('registry.example/owned:1', flake, 'conf.owned')
  expect(await node.runPod({ imageId: ownedId, command })).toEqual({ exitCode: 0, output: '1 1000\n' })
})

test('an archive is built as the build user, imported, and runs', async () => {
  const { dir } = await copyExample('formats', node.outside('/srv'))
  const flake = `path:/srv/${basename(dir)}`
  const imageId = await pull('registry.example/archive:1', flake, 'docker-archive')
  const { output } = await node.runPod({ imageId })
  expect(output).toBe('hello from a Nix-built image\n')
  const { stdout: uid } = await node.run('id', ['-u', 'enbi-shim'])
  await expect(pull('registry.example/who:1', flake, 'who')).rejects.toThrow(`uid ${uid}`)
})

async function pull(image: string, flakeUrl: string, packageName: string): Promise<string> {
  return node.cri(SOCKET).pullImage(recipePull({ image, flakeUrl, packageName }))
}
