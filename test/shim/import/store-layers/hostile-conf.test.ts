import { afterAll, beforeAll, expect, test } from 'vitest'
import type { StoreImage } from '../../../node/store-image.ts'
import { image, TREES } from './images.ts'
import { type StoreNode, startStoreNode } from './store-node.ts'

const NO_PATH = `/nix/store/${'0'.repeat(32)}-missing`
const CONFS: Record<string, object> = {
  'a path outside of the store': { store_layers: [['/etc']] },
  'a path below a store path': { store_layers: [[`${NO_PATH}/bin`]] },
  'a path with ..': { store_layers: [['/nix/store/../../etc']] },
  'a path that is not valid': { store_layers: [[NO_PATH]] },
  "the store's own links": { store_layers: [['/nix/store/.links']] },
  'a thousand layers': { store_layers: Array.from({ length: 1000 }, () => [NO_PATH]) },
  'another type': { store_layers: 'all' },
  'a customization layer that is nowhere': { customisation_layer: '/tmp' },
  'another store': { store_dir: '/' },
  'another architecture': { architecture: 'sparc' },
}

let node: StoreNode
const names = Object.keys(CONFS).map((_, n) => `hostile-${n}`)
beforeAll(async () => {
  const images = Object.values(CONFS).map((conf, n): [string, StoreImage] => [
    `hostile-${n}`,
    image([['many']], { conf }),
  ])
  node = await startStoreNode({ trees: TREES, images: Object.fromEntries(images) })
})
afterAll(() => node[Symbol.asyncDispose]())

test.each(Object.keys(CONFS).map((what, n) => [what, names[n] ?? '']))(
  '%s in a conf.json is a clear error, and nothing is written',
  async (_what, name) => {
    await expect(node.pull(name)).rejects.toMatchObject({
      details: expect.stringMatching(/the image archive |the image is for |the package is not an image/),
    })
    expect(await node.snapshots()).toEqual({ committed: [], others: [] })
    expect(await node.ctr('content', 'ls', '-q')).toBe('')
    expect(await node.ctr('images', 'ls', '-q')).toBe('')
  },
)
