import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { copyExample } from '../../node/example.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { findUser, type User } from '../../node/user.ts'
import { metricsUrl } from '../../shim/metrics/scrape.ts'
import { holdConnections } from '../strangers.ts'

let bed: Bed
let shim: Shim
/** Neither root nor the build user. */
let user: User
let pid: string

beforeAll(async () => {
  bed = await startBed()
  user = await findUser('games')
  shim = await bed.startShim({ config: { metrics: { address: '127.0.0.1:0' } } })
  pid = (await bed.run('pgrep', ['--full', 'serve --config'])).stdout.trim()
  const { url: flakeUrl } = await copyExample('hello', bed.dir)
  const image = 'registry.example/hello:1'
  await bed.cri(shim.socket).pullImage(recipePull({ image, flakeUrl, packageName: 'image' }))
})
afterAll(() => bed?.[Symbol.asyncDispose]())

describe('a user of the node cannot', () => {
  test.each<[string, () => string]>([
    [
      'pull an image through the socket',
      () => `perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new("${shim.socket}") or die $!'`,
    ],
    ['replace the socket by one of its own', () => `mv ${shim.socket} ${shim.socket}.old`],
    ['block the start of the shim by its lock', () => `mkdir ${shim.socket}.lock`],
    ['list the state folder', () => `ls ${shim.stateDir}`],
    ['read logs of builds', () => `ls ${join(shim.stateDir, 'logs')}`],
    ['read results of builds', () => `ls ${join(shim.stateDir, 'results')}`],
    ['remove gc roots', () => `rm ${join(shim.stateDir, 'gcroots')}/*`],
    ["change git's and nix's configuration", () => `touch ${join(shim.stateDir, 'build-config/added')}`],
    ['put settings into the home of the build user', () => `touch ${join(shim.stateDir, 'build-home/.gitconfig')}`],
    ['end the shim', () => `kill ${pid}`],
    ["read the shim's environment", () => `cat /proc/${pid}/environ`],
    ["reach the shim's mounts", () => `ls /proc/${pid}/root/`],
    ["reach the shim's open files", () => `ls /proc/${pid}/fd/`],
  ])('%s', async (_, script) => {
    expect((await readdir(join(shim.stateDir, 'logs'))).length).toBeGreaterThan(0)
    const { exitCode, stderr } = await bed.run('sh', ['-c', script()], { user, reject: false })
    expect(stderr).toMatch(/Permission denied|Operation not permitted/)
    expect(exitCode).not.toBe(0)
  })
})

test('connections that a user of the node holds open to the port for metrics block neither a scrape nor a pull', async () => {
  const url = await metricsUrl(shim)
  using _strangers = await holdConnections(url, { count: 200, localAddress: '127.0.0.1' })
  expect(await (await fetch(`${url}/metrics`)).text()).toContain('enbi_shim_containerd_up 1')
  await bed.cri(shim.socket).imageFsInfo()
})
