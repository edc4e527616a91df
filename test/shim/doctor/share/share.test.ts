import { appendFile, chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { nixNodes } from '../../../../kube/resources/nixnode.ts'
import { startCluster } from '../../../cluster/cluster.ts'
import { type Bed, startBed } from '../../../node/bed.ts'
import { type BinaryCache, startBinaryCache } from '../../../node/binary-cache.ts'
import { writeMadeFlake } from '../../../node/made-flake.ts'
import { type Diagnosis, runDoctor } from '../run-doctor.ts'

const PEER = 'peer'
const OWN = 'own'
let bed: Bed
let cache: BinaryCache
let publicKey: string

beforeAll(async () => {
  bed = await startBed()
  await build('before-the-key')
  const secretKey = join(bed.dir, 'secret-key')
  await writeFile(secretKey, (await nix('key', 'generate-secret', '--key-name', 'own.enbi-1')).stdout, { mode: 0o600 })
  publicKey = (await nix('key', 'convert-secret-to-public', { input: secretKey })).stdout.trim()
  await writeFile(join(bed.dir, 'public-key'), publicKey)
  await appendFile(join(bed.dir, 'nix-conf/nix.conf'), `secret-key-files = ${secretKey}\n`)
  await bed.nixDaemon.restart()
  const folder = join(bed.dir, 'cache')
  await nix('copy', '--to', `file://${folder}?compression=none`, await build('after-the-key'))
  cache = await startBinaryCache(folder)
})
afterAll(async () => {
  await cache?.[Symbol.asyncDispose]()
  await bed?.[Symbol.asyncDispose]()
})

const builtSchema = v.tuple([v.object({ outputs: v.object({ out: v.string() }) })])
type Nix = readonly [...string[], string | { readonly input: string }]

async function nix(...args: Nix) {
  const words = args.filter(arg => typeof arg === 'string')
  const input = args.find(arg => typeof arg !== 'string')?.input ?? '/dev/null'
  return bed.run('sh', ['-c', 'file=$1; shift; exec nix "$@" < "$file"', 'sh', input, ...words])
}

/** Builds a path as the build user. Its store path is the newest result of the state folder with its name. */
async function build(name: string): Promise<string> {
  const url = await writeMadeFlake(bed.dir, `make "${name}" { } "echo ${name} > $out"`)
  const args = ['build', '--no-link', '--json', `${url}#image`]
  const { stdout } = await bed.run('nix', args, { user: bed.buildUser })
  const [{ outputs }] = v.parse(builtSchema, JSON.parse(stdout))
  const path = outputs.out
  const gcroots = join(bed.dir, name, 'gcroots')
  await mkdir(gcroots, { recursive: true })
  await symlink(path, join(gcroots, 'key'))
  await chmod(join(bed.dir, name), 0o711)
  return path
}

async function diagnose(share: object, changes: object = {}): Promise<Diagnosis> {
  const file = join(bed.dir, `${Math.random()}.yaml`)
  const config = {
    ...{
      nix: { user: bed.buildUser.name },
      containerd: { address: bed.containerdSocket },
      stateDir: join(bed.dir, 'after-the-key'),
    },
    share: { publicKeyFile: join(bed.dir, 'public-key'), ...share },
  }
  await writeFile(file, stringify({ ...config, ...changes }))
  return runDoctor(bed, '--config', file)
}

const warning = (text: RegExp, wayOut: RegExp) => ({
  ...{ outcome: 'warning', text: expect.stringMatching(text), wayOut: expect.stringMatching(wayOut) },
})

describe('doctor on a node that shares what it builds', () => {
  it('finds the cache, the key and the signatures', async () => {
    const store = `file://${join(bed.dir, 'cache')}`
    const push = `${store}?compression=zstd`
    const { of } = await diagnose({ address: cache.url, stores: [cache.url, store], push })
    expect(of('shared address')).toMatchObject(warning(/is this machine for every node/, /set share\.address/))
    expect(of('signing key')).toMatchObject({
      outcome: 'ok',
      text: `${publicKey}; has signed all 1 store paths of the newest images that were built here`,
    })
    expect(of('stores')).toMatchObject({ outcome: 'ok', text: expect.stringContaining('all answer') })
    expect(of('push store')).toMatchObject({ outcome: 'ok', text: push })
    for (const check of ['trusted keys', 'peers'])
      expect(of(check)).toMatchObject({ outcome: 'skipped', text: 'the config has no kubernetes section' })
  })

  it('reports an address without a cache, stores that are away, and files pushed as xz', async () => {
    const closed = 'http://127.0.0.1:1'
    const { of } = await diagnose({
      ...{ address: closed, stores: [closed, `file://${bed.dir}/none`], push: `file://${bed.dir}/push` },
    })
    expect(of('shared address')).toMatchObject(warning(/127\.0\.0\.1:1 cannot be used: .*ECONNREFUSED/, /harmonia/))
    expect(of('stores')).toMatchObject(warning(/127\.0\.0\.1:1: .*; file:.*none: /, /correct share\.stores/))
    expect(of('push store')).toMatchObject(warning(/as xz/, /\?compression=zstd/))
  })

  it('reports paths that are older than the key, and how to sign them', async () => {
    const look = () => diagnose({ address: cache.url }, { stateDir: join(bed.dir, 'before-the-key') })
    const { of } = await look()
    const command = /nix store sign --key-file FILE (\S+-before-the-key);/
    expect(of('signing key')).toMatchObject(
      warning(/1 of 1 store paths .* no signature of own\.enbi-1, as .*before-the-key/, command),
    )
    const [, path = ''] = command.exec(of('signing key')?.wayOut ?? '') ?? []
    await nix('store', 'sign', '--key-file', join(bed.dir, 'secret-key'), path)
    expect((await look()).of('signing key')).toMatchObject({ outcome: 'ok' })
  })

  it('reports a public key that is not the one that Nix signs with', async () => {
    const file = join(bed.dir, 'other-key')
    await writeFile(file, `own.enbi-1:${Buffer.alloc(32, 5).toString('base64')}\n`)
    const { of } = await diagnose({ address: cache.url, publicKeyFile: file })
    expect(of('signing key')).toMatchObject(
      warning(/is signed with another key of the name own\.enbi-1/, /another name/),
    )
    await writeFile(file, 'junk\n')
    const junk = await diagnose({ address: cache.url, publicKeyFile: file })
    expect(junk.of('signing key')).toMatchObject(
      warning(/is not one line with NAME:BASE64/, /convert-secret-to-public/),
    )
  })

  it('asks for no key where nothing is built or served', async () => {
    expect((await diagnose({})).of('signing key')).toMatchObject({ outcome: 'ok' })
    const fetching = await diagnose(
      { address: cache.url, publicKeyFile: '/none' },
      { nix: { user: bed.buildUser.name, build: 'never' } },
    )
    expect(fetching.of('signing key')).toMatchObject({ outcome: 'ok', text: 'this node builds nothing' })
  })

  it('compares keys with those that the cluster shows, and asks the caches of other nodes', async () => {
    // Nodes of other tests would be in its messages.
    await using cluster = await startCluster()
    await cluster.installDeploy()
    const kube = cluster.client()
    const peerKey = `${PEER}.enbi-1:${Buffer.alloc(32, 9).toString('base64')}`
    const show = async (name: string, store: object, isNew = true) => {
      if (isNew) await kube.create(nixNodes, { name, body: {} })
      const patch = { type: 'merge', subresource: 'status', fieldManager: 'test' } as const
      await kube.patch(nixNodes, { name, body: { status: { store } } }, patch)
    }
    await show(PEER, { address: 'http://127.0.0.1:1', publicKey: peerKey })
    await show(OWN, { address: cache.url, publicKey: `old.enbi-1:${Buffer.alloc(32, 8).toString('base64')}` })
    const kubernetes = { kubeconfig: cluster.adminKubeconfig, nodeName: OWN }
    const { of } = await diagnose({ address: cache.url }, { kubernetes })
    const sameName = `own.enbi-1:${Buffer.alloc(32, 9).toString('base64')}`
    await show(PEER, { publicKey: sameName }, false)
    await show(OWN, { publicKey }, false)
    const rivals = await diagnose({ address: cache.url }, { kubernetes })
    expect(of('signing key')).toMatchObject(
      warning(/the NixNode shows "old\.enbi-1:.* has own\.enbi-1:/, /runs with this config/),
    )
    expect(rivals.of('signing key')).toMatchObject(
      warning(new RegExp(`nobody can trust: .* own\\.enbi-1, also of ${PEER}`), /a key with another name/),
    )
    expect(of('trusted keys')).toMatchObject(
      warning(new RegExp(`does not trust the keys of ${PEER}`), /enbi-shim keys/),
    )
    expect(of('peers')).toMatchObject(warning(/cannot be used: .*ECONNREFUSED/, /open its port/))
  })
})

describe('doctor on a node whose nix.conf', () => {
  const diagnoseWith = async (nixSettings: Readonly<Record<string, string>>) => {
    await using plain = await startBed({ nixSettings })
    const file = join(plain.dir, 'config.yaml')
    const share = { address: cache.url, publicKeyFile: join(plain.dir, 'key'), push: 's3://builds?compression=zstd' }
    await writeFile(share.publicKeyFile, publicKey)
    const node = { nix: { user: plain.buildUser.name }, containerd: { address: plain.containerdSocket } }
    await writeFile(file, stringify({ ...node, stateDir: join(plain.dir, 'state'), share }))
    return await runDoctor(plain, '--config', file)
  }

  it('has no key says that nothing is signed', async () => {
    const { of } = await diagnoseWith({})
    expect(of('signing key')).toMatchObject(warning(/does not sign what it builds/, /secret-key-files/))
    expect(of('push store')).toMatchObject(warning(/has no signature, so no node may use it/, /secret-key-files/))
  })

  it('names a missing key says that every build fails', async () => {
    const { of } = await diagnoseWith({ 'secret-key-files': '/none/key' })
    expect(of('signing key')).toMatchObject({
      outcome: 'failed',
      text: 'every build fails: Nix cannot sign without /none/key, which does not exist',
    })
  })
})
