import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { extract } from 'tar-stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { PackageHints } from '../../../../../recipes/built-package.ts'
import { makePackageSetImage } from '../../../../../shim/import/formats/package/package-set-image.ts'
import { openClosure } from '../../../../../shim/import/store/closure.ts'
import { storePathInfo } from '../../closure.ts'

let store: string
let union: string
beforeEach(async () => {
  store = await realpath(await mkdtemp(join(tmpdir(), 'enbi-store-')))
  union = join(store, `${'a'.repeat(32)}-package-set`)
  await mkdir(union)
})
afterEach(() => rm(store, { recursive: true }))

async function add(path: string | Buffer, mode = 0o555) {
  await mkdir(dirname(String(path)), { recursive: true })
  await writeFile(path, '')
  await chmod(path, mode)
}
const addPrograms = (...names: string[]) => Promise.all(names.map(name => add(join(union, 'bin', name))))
const make = async (hints: PackageHints = {}) => {
  const closure = await openClosure(union, async () => [
    storePathInfo(union, [`${store}/app`]),
    storePathInfo(`${store}/app`),
  ])
  return makePackageSetImage({ union, closure, hints })
}
const runs = async (hints?: PackageHints) =>
  JSON.parse((await make(hints)).makeConfig({ diffIds: [] }).toString()).config

/** The content of each path after the tar is unpacked. */
async function linksOf() {
  const entries: Record<string, string | number> = {}
  let count = 0
  const links = (await make()).layers.at(-1)
  if (links?.kind !== 'tarBytes') throw new Error('expected bytes')
  for await (const entry of Readable.from([links.bytes]).pipe(extract())) {
    const { name, linkname, mode = 0 } = entry.header
    entries[name] = linkname ?? mode
    count += 1
    entry.resume()
  }
  expect(links.entries).toBe(count)
  return entries
}

test.each<[string, string[], PackageHints, string | undefined]>([
  ['bash, whatever else there is', ['sh', 'app', 'bash'], { mainProgram: 'app' }, '/bin/bash'],
  ['sh where there is no bash', ['sh', 'app'], {}, '/bin/sh'],
  ['the main program of a single package', ['app', 'other'], { mainProgram: 'app' }, '/bin/app'],
  ['the one program', ['app', '.app-wrapped'], {}, '/bin/app'],
  ['nothing where there are several', ['app', 'other'], {}, undefined],
  ['nothing that is outside of bin', ['app', 'other'], { mainProgram: '../bin/app' }, undefined],
  ['nothing where there is none', [], {}, undefined],
])('a set runs %s', async (_what, programs, hints, cmd) => {
  await addPrograms(...programs)
  expect(await runs(hints)).toEqual({ ...(cmd && { Cmd: [cmd] }), Env: ['PATH=/bin'] })
})

test('the config names the certificates if there are some', async () => {
  await add(join(union, 'etc/ssl/certs/ca-bundle.crt'), 0o444)
  expect(await runs()).toEqual({ Env: ['PATH=/bin', 'SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt'] })
})

test('folders are united at the root, and hold a link for each entry', async () => {
  await addPrograms('env')
  await add(join(store, 'app/lib/app.so'))
  await symlink(join(store, 'app/lib'), join(union, 'lib'))
  await add(join(union, 'etc/services'))
  await add(join(union, 'libexec/inside'))
  await symlink('/root', join(union, 'share'))
  expect(await linksOf()).toEqual({
    ...{ 'bin/': 0o755, 'bin/env': `${union}/bin/env`, 'usr/': 0o755, 'usr/bin/': 0o755, 'usr/bin/env': '/bin/env' },
    ...{ 'etc/': 0o755, 'etc/services': `${union}/etc/services`, 'lib/': 0o755, 'lib/app.so': `${union}/lib/app.so` },
    'tmp/': 0o1777,
  })
})

test('a name is kept byte for byte, even if it is not text', async () => {
  await addPrograms('ü', 'x'.repeat(200))
  for (const name of ['\xff', '\xfe']) await add(Buffer.from(`${union}/bin/${name}`, 'latin1'))
  expect(await linksOf()).toMatchObject({
    'bin/ü': `${union}/bin/ü`,
    [`bin/${'x'.repeat(200)}`]: `${union}/bin/${'x'.repeat(200)}`,
  })
  const links = (await make()).layers.at(-1)
  const tar = links?.kind === 'tarBytes' ? links.bytes.toString('latin1') : ''
  for (const name of ['\xff', '\xfe']) {
    expect(tar).toContain(`path=bin/${name}\n`)
    expect(tar).toContain(`linkpath=${union}/bin/${name}\n`)
  }
})

test('a name that would delete another when the tar is unpacked has no link', async () => {
  await addPrograms('app', '.wh.app', '.wh..wh..opq')
  expect(Object.keys(await linksOf())).toEqual(['bin/', 'bin/app', 'tmp/'])
})

test('files that the runtime puts into /etc are not links to the store', async () => {
  for (const name of ['hosts', 'hostname', 'resolv.conf', 'services']) await add(join(union, 'etc', name))
  expect(Object.keys(await linksOf())).toEqual(['etc/', 'etc/services', 'tmp/'])
})

test('more files than are kept in memory are rejected', async () => {
  await mkdir(join(union, 'share'))
  execFileSync('sh', ['-c', 'cd "$1" && seq 10001 | xargs touch', 'sh', join(union, 'share')])
  await expect(make()).rejects.toMatchObject({
    code: 'NotAnImage',
    message: expect.stringContaining('more than 10000 files in bin, etc, lib, share'),
  })
})
