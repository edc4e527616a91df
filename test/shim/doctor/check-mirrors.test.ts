import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readTested } from '../../docs/code-blocks.ts'
import { NEWER_CONTAINERD } from '../../node/programs.ts'
import { IMAGES } from '../import/store-layers/images.ts'
import { imageName, type StoreNode, startStoreNode } from '../import/store-layers/store-node.ts'
import { runDoctor } from './run-doctor.ts'

const image = imageName('small')
let node: StoreNode
beforeAll(async () => {
  const shim = { config: { import: { layers: 'tar' } } }
  node = await startStoreNode(IMAGES, { shim, containerd: { programs: NEWER_CONTAINERD.dir } })
})
afterAll(() => node?.[Symbol.asyncDispose]())

async function diagnose(check: string) {
  const { of } = await runDoctor(node.bed, '--config', node.shim.configPath)
  return of(check)
}

/** Makes the image again; returns the digest of its manifest. */
async function pull(): Promise<string> {
  await node.removeImages()
  await node.pull('small')
  const [, digest = ''] = /@(sha256:\S+)/.exec(await node.ctr('images', 'ls', '-q')) ?? []
  return digest
}

const again = expect.stringContaining(`crictl rmi ${image}`)

describe('doctor on a node that serves images of tars', () => {
  it('finds no problem with a new image', async () => {
    await pull()
    expect(await diagnose('mirrors')).toMatchObject({
      outcome: 'ok',
      text: expect.stringContaining('keeps the layers'),
    })
    expect(await diagnose('mirrored images')).toMatchObject({ outcome: 'ok', text: expect.stringMatching(/^1 from/) })
  })

  it('warns of an image without a record of its digest', async () => {
    const digest = await pull()
    await node.ctr('images', 'rm', '--sync', `registry.example/store/small@${digest}`)
    const text = expect.stringContaining(`no record registry.example/store/small@${digest}`)
    expect(await diagnose('mirrored images')).toMatchObject({ outcome: 'warning', text, wayOut: again })
  })

  it('warns of an image whose manifest does not name its source', async () => {
    const digest = await pull()
    await node.ctr('content', 'label', digest, 'containerd.io/distribution.source.registry.example=')
    const text = expect.stringContaining('no label with its source')
    expect(await diagnose('mirrored images')).toMatchObject({ outcome: 'warning', text, wayOut: again })
  })

  it('warns of a containerd that discards layers', async () => {
    const file = join(node.bed.dir, 'containerd/config.toml')
    const config = await readFile(file, 'utf8')
    await writeFile(file, config.replace('snapshotter = "overlayfs"', '$&\n    discard_unpacked_layers = true'))
    const wayOut = expect.stringContaining(`discard_unpacked_layers = false in ${file}`)
    expect(await diagnose('mirrors')).toMatchObject({ outcome: 'warning', wayOut })
    await writeFile(file, config)
  })

  it("has no problem with the guide's config of containerd", async () => {
    const file = join(node.bed.dir, 'guide.toml')
    await writeFile(file, await readTested('serve-images-to-other-nodes.md', ['containerd']))
    const dump = ['--config', file, 'config', 'dump']
    const { stdout } = await node.bed.run(join(NEWER_CONTAINERD.dir, 'containerd'), dump)
    expect(stdout).toMatch(/^\s*discard_unpacked_layers = false$/m)
    expect(stdout).toMatch(/^\s*config_path = '\/etc\/containerd\/certs\.d'$/m)
  })

  it('checks neither while layers are linked', async () => {
    const linked = await node.bed.startShim()
    const { of } = await runDoctor(node.bed, '--config', linked.configPath)
    expect([of('mirrors'), of('mirrored images')]).toEqual([undefined, undefined])
  })
})

it('doctor warns of a containerd that is too old for mirrors', async () => {
  await using older = await startStoreNode(IMAGES, { shim: { config: { import: { layers: 'tar' } } } })
  const { of } = await runDoctor(older.bed, '--config', older.shim.configPath)
  expect(of('mirrors')).toMatchObject({ outcome: 'warning', wayOut: expect.stringContaining('2.1 or newer') })
})
