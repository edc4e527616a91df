import { chmod, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { extract } from 'tar-stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { PackageHints } from '../../../../../recipes/built-package.ts'
import { makePackageImage } from '../../../../../shim/import/formats/package/package-image.ts'
import { hostPlatform } from '../../../../../shim/import/image/config.ts'
import { openClosure } from '../../../../../shim/import/store/closure.ts'
import { storePathInfo } from '../../closure.ts'

let store: string
let app: string
beforeEach(async () => {
  store = await realpath(await mkdtemp(join(tmpdir(), 'enbi-store-')))
  app = join(store, `${'a'.repeat(32)}-app`)
})
afterEach(() => rm(store, { recursive: true }))

async function addFile(path: string, mode = 0o555) {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, '')
  await chmod(path, mode)
}
const addPrograms = (...names: string[]) => Promise.all(names.map(name => addFile(join(app, 'bin', name))))
const make = async (hints: PackageHints = {}, others: readonly string[] = []) => {
  const libc = `${store}/libc`
  const infos = [storePathInfo(app, [app, libc]), ...others.map(path => storePathInfo(path)), storePathInfo(libc)]
  const closure = await openClosure(app, async () => infos)
  return makePackageImage({ folder: app, storePath: app, closure, hints })
}
const diffIds = ['0', '1', '2'].map(digit => `sha256:${digit.repeat(64)}`)
const configOf = async (hints?: PackageHints, others?: readonly string[]) =>
  JSON.parse((await make(hints, others)).makeConfig({ diffIds }).toString())
const runs = async (hints?: PackageHints, others?: readonly string[]) => (await configOf(hints, others)).config
const bin = (name: string) => join(app, 'bin', name)

test('the closure lies below links from the root', async () => {
  await addPrograms('app')
  const image = await make()
  const owner = { uid: 0, gid: 0, uname: 'root', gname: 'root' }
  const layer = (path: string) => {
    return { kind: 'storeFiles', files: { paths: [path], owner, mtime: 1, rootMode: 0o755 } }
  }
  expect(image.platform).toEqual(hostPlatform())
  expect(image.base).toBeUndefined()
  expect(image.layers).toEqual([
    layer(`${store}/libc`),
    layer(app),
    { kind: 'tarBytes', bytes: expect.any(Buffer), entries: 2 },
  ])
})

test('the config names the platform, the layers and the program', async () => {
  await addPrograms('app')
  const created = '1970-01-01T00:00:01Z'
  expect(await configOf()).toEqual({
    created,
    ...hostPlatform(),
    config: { Entrypoint: [bin('app')], Env: ['PATH=/bin'] },
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: ['store paths', 'store paths', 'links to the package'].map(comment => ({ created, comment })),
  })
})

async function linksOf(): Promise<object[]> {
  const entries = []
  const links = (await make()).layers.at(-1)
  if (links?.kind !== 'tarBytes') throw new Error('expected bytes')
  for await (const entry of Readable.from([links.bytes]).pipe(extract())) {
    const { name, type, linkname, mode, uid, gid, uname, gname, mtime } = entry.header
    expect({ uid, gid, uname, gname, mtime: Number(mtime) }).toEqual({
      ...{ uid: 0, gid: 0, uname: 'root', gname: 'root', mtime: 1000 },
    })
    entries.push({ name: name.replace(/\/$/, ''), type, linkname, mode })
    entry.resume()
  }
  return entries
}
const link = (name: string) => ({ name, type: 'symlink', linkname: join(app, name), mode: 0o777 })
const tmp = { name: 'tmp', type: 'directory', linkname: null, mode: 0o1777 }

test('a package is linked by the folders that it has', async () => {
  await addPrograms('app')
  await mkdir(join(app, 'share'))
  await mkdir(join(app, 'lib'))
  expect(await linksOf()).toEqual([link('bin'), link('share'), tmp])
})

test('a long name is linked', async () => {
  app = join(store, `${'a'.repeat(32)}-${'long'.repeat(40)}`)
  await addPrograms('app')
  await symlink('nowhere', join(app, 'etc'))
  expect(await linksOf()).toEqual([link('bin'), link('etc'), tmp])
})

test('the image is reproducible', async () => {
  await addPrograms('app')
  const imageConfig = { WorkingDir: '/tmp', Cmd: ['x'] }
  const [one, other] = [await make({ imageConfig }), await make({ imageConfig: { Cmd: ['x'], WorkingDir: '/tmp' } })]
  expect(one.layers).toEqual(other.layers)
  expect(one.makeConfig({ diffIds })).toEqual(other.makeConfig({ diffIds }))
})

test('a package that is a program is run itself', async () => {
  await addFile(app)
  expect(await runs()).toMatchObject({ Entrypoint: [app] })
  expect(await linksOf()).toEqual([tmp])
})

test('a file that is not executable does not count as a program', async () => {
  await addPrograms('app', '.app-wrapped')
  await addFile(bin('readme'), 0o444)
  await addFile(join(bin('folder'), 'program'))
  await symlink('/bin/sh', bin('outside'))
  await symlink('nowhere', bin('dangling'))
  expect(await runs()).toMatchObject({ Entrypoint: [bin('app')] })
})

test('a link to a program of another package counts if the package refers to that', async () => {
  await addFile(join(store, 'other', 'bin', 'tool'))
  await mkdir(join(app, 'bin'), { recursive: true })
  await symlink(join(store, 'other', 'bin', 'tool'), bin('tool'))
  await expect(runs()).rejects.toThrow('it has no program in bin')
  expect(await runs({}, [join(store, 'other')])).toMatchObject({ Entrypoint: [bin('tool')] })
})

const PATH = 'PATH=/bin'
test.each<[string, string[], PackageHints, object]>([
  ['the main program is run', ['a', 'b'], { mainProgram: 'b' }, { Entrypoint: ['b'], Env: [PATH] }],
  [
    'an entrypoint goes before the main program',
    ['a', 'b'],
    { mainProgram: 'gone', imageConfig: { Entrypoint: ['/x'] } },
    { Entrypoint: ['/x'], Env: [PATH] },
  ],
  ['no entrypoint is wanted', ['a'], { imageConfig: { Entrypoint: null } }, { Env: [PATH] }],
  ['Cmd alone will do', ['a', 'b'], { imageConfig: { Cmd: ['/x'] } }, { Cmd: ['/x'], Env: [PATH] }],
  ['Cmd is for the program', ['a'], { imageConfig: { Cmd: ['-v'] } }, { Entrypoint: ['a'], Cmd: ['-v'], Env: [PATH] }],
  ['Env is added', ['a'], { imageConfig: { Env: ['A=1'] } }, { Entrypoint: ['a'], Env: [PATH, 'A=1'] }],
  ['Env has a PATH', ['a'], { imageConfig: { Env: ['PATH=/x'] } }, { Entrypoint: ['a'], Env: ['PATH=/x'] }],
  [
    'all keys are taken',
    [],
    {
      imageConfig: {
        ...{ Entrypoint: [], Cmd: ['x'], Env: [], ExposedPorts: { '80/tcp': {} }, Labels: { a: 'b' } },
        ...{ StopSignal: 'SIGINT', User: '1', Volumes: { '/data': {} }, WorkingDir: '/' },
      },
    },
    {
      ...{ Entrypoint: [], Cmd: ['x'], Env: [PATH], ExposedPorts: { '80/tcp': {} }, Labels: { a: 'b' } },
      ...{ StopSignal: 'SIGINT', User: '1', Volumes: { '/data': {} }, WorkingDir: '/' },
    },
  ],
])('%s', async (_, programs, hints, config) => {
  await mkdir(app)
  await addPrograms(...programs)
  const { Entrypoint: entrypoint, ...rest } = await runs(hints)
  const names = entrypoint?.map((path: string) => path.replace(`${app}/bin/`, ''))
  expect({ ...rest, ...(names && { Entrypoint: names }) }).toEqual(config)
})

test.each<[string, string[], PackageHints, RegExp]>([
  ['no program', [], {}, /no program in bin: set meta.mainProgram or passthru.imageConfig.Entrypoint/],
  ['several programs', ['b', 'a'], {}, /several programs in bin \("a", "b"\): set meta.mainProgram/],
  ['a main program that is not there', ['a'], { mainProgram: 'b' }, /mainProgram is "b", and in bin there is "a"/],
  ['a main program out of bin', ['a'], { mainProgram: '../bin/a' }, /mainProgram is "..\/bin\/a"/],
  ['an unknown key', ['a'], { imageConfig: { entrypoint: ['/x'] } }, /has a key "entrypoint" \(expected Entrypoint, /],
  ['a key of all objects', ['a'], { imageConfig: { toString: 'x' } }, /has a key "toString"/],
  ['a text for a list', ['a'], { imageConfig: { Cmd: 'x' } }, /at Cmd: /],
  ['a variable without a value', ['a'], { imageConfig: { Env: ['A'] } }, /at Env.0: expected NAME=value/],
  ['a NUL', ['a'], { imageConfig: { User: 'a\0' } }, /at User: expected text without NUL/],
])('%s is rejected', async (_, programs, hints, message) => {
  await mkdir(app)
  await addPrograms(...programs)
  await expect(make(hints)).rejects.toMatchObject({ code: 'NotAnImage', message: expect.stringMatching(message) })
})
