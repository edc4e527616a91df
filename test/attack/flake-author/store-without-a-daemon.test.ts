import { afterAll, beforeAll, expect, it } from 'vitest'
import { findUser } from '../../node/user.ts'
import { image } from '../../shim/import/store-layers/images.ts'
import { imageName, type StoreNode, startStoreNode } from '../../shim/import/store-layers/store-node.ts'
import { untilLogged } from '../../shim/pull/builds.ts'

let node: StoreNode
beforeAll(async () => {
  // Only files with the mode and owner of files in the store can be linked.
  const { uid, gid } = await findUser('nobody')
  const owned = image([['tree']], { conf: { uid: `${uid}`, gid: `${gid}`, uname: 'nobody', gname: 'nogroup' } })
  node = await startStoreNode({ trees: { tree: ['many', '1', '20', '3000'] }, images: { owned } }, { daemon: false })
})
afterAll(() => node?.[Symbol.asyncDispose]())

/** Every builder without a sandbox can do this. */
async function tamper(): Promise<void> {
  const script = 'file=$(find /nix/store -name file-1); chmod u+w "$file"; echo changed > "$file"'
  await node.bed.run('sh', ['-euc', script], { user: node.bed.buildUser })
}

it('a process of the owner of a store without a daemon cannot change an existing image', async () => {
  await node.pull('owned')
  await untilLogged(
    node.shim,
    'layers of store paths cannot be linked: real tars are made of them',
    'import.trustStore',
  )
  const before = await node.files(imageName('owned'))
  await tamper()
  expect(await node.files(imageName('owned'))).toEqual(before)
  await node.removeImages()
})

it('the config can allow hard links from a store without a daemon', async () => {
  const shim = await node.bed.startShim({ config: { import: { trustStore: true } } })
  await node.pull('owned', shim)
  await untilLogged(shim, 'layers of store paths are linked')
})
