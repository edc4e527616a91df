import { createHash } from 'node:crypto'
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { isStorePath } from '../../../../../recipes/store-path.ts'
import { readStreamImage } from '../../../../../shim/import/formats/nixpkgs-stream/image.ts'
import { type BaseParts, isMerged, type StoreImage } from '../../../../../shim/import/image/store-image.ts'
import { storePathTar } from '../../../../../shim/import/tar/store-path-tar.ts'
import { runPython } from '../../../../node/python.ts'
import { closureOf } from '../../closure.ts'
import { dockerEntries, hex, makeImage, type TestImage } from '../../image.ts'
import { makeOddTree } from '../../store/odd-tree.ts'
import { TARFILE_LAYER } from '../../tar/tarfile-layer.ts'
import { tar } from '../../tar.ts'
import { knownPrograms, makeStreamStore, type StreamStore } from './stream-store.ts'

const newer = await readFile(TARFILE_LAYER, 'utf8')
const older = newer.replace('"--older", action="store_true"', '"--older", default=True')
const PROGRAMS = knownPrograms([
  [newer, { rootMode: 0o755, hasOwner: true, hasMtime: true }],
  [older, { rootMode: 0o555, hasOwner: false, hasMtime: false }],
])

let store: StreamStore
beforeEach(async () => {
  store = await makeStreamStore()
  const [lib, app] = [store.storePath('lib-1.0'), store.storePath('app')]
  await mkdir(join(app, 'bin'), { recursive: true })
  await writeFile(join(app, 'bin/app'), 'runs as its owner')
  await chmod(join(app, 'bin/app'), 0o4555)
  await symlink(app, lib)
  const folder = store.storePath('customisation-layer')
  const layer = await tar([{ name: 'etc', type: 'directory' }])
  await writeFile(join(folder, 'layer.tar'), layer)
  await writeFile(join(folder, 'checksum'), hex(layer))
})
afterEach(() => store[Symbol.asyncDispose]())

/** A base image with two layers. */
async function addBase(env: readonly string[]): Promise<{ path: string; base: BaseParts }> {
  const layers = await Promise.all(['one', 'two'].map(name => tar([{ name, content: name }])))
  const plain = makeImage(layers)
  const config = Buffer.from(JSON.stringify({ ...JSON.parse(`${plain.config}`), config: { Env: env, User: 'base' } }))
  const image: TestImage = { ...plain, config }
  const path = await store.add('base.tar', '')
  await writeFile(path, await tar(dockerEntries(image)))
  return { path, base: { config, layerNames: layers.map(layer => `${hex(layer)}/layer.tar`) } }
}

const FORMS: Record<string, { conf?: object; env?: readonly string[]; program?: string; odd?: true }> = {
  'as most are': {},
  'of a user': { conf: { uid: '1000', gid: 3_000_000, uname: 'jürgen', gname: 'g'.repeat(40) } },
  'of another time': { conf: { created: '2024-02-29T12:30:00.500000+05:30', mtime: '2001-09-09T01:46:40+00:00' } },
  'with odd files': { odd: true },
  'with one layer': { conf: { store_layers: [] } },
  'with a layer of nothing': { conf: { store_layers: [[], []] } },
  'with numbers and texts of all kinds': {
    conf: {
      config: { A: [1, 1.5, 1e21, -0.25, 1e-7], Labels: { ü: '"\\\u0001\ud83e\udd86\u007f/' }, B: {}, C: [], D: null },
    },
  },
  'on a base image': { env: ['A=base', 'B=1'], conf: { config: { Env: ['C=2', 'A=own'], Cmd: ['/bin/app'] } } },
  'on a base image without variables': { env: [], conf: { config: { Cmd: ['/bin/app'] } } },
  'of the older program': { program: older, conf: { created: '2020-01-01T00:00:00+00:00' } },
  'of the older program, with odd files': { program: older, odd: true },
  'of the older program, on a base image': { program: older, env: ['A=base'], conf: { config: { Env: ['A=own'] } } },
}

it.each(Object.entries(FORMS))('an image %s has the id that its script gives it', async (_, form) => {
  const { env, program = newer } = form
  const base = env && (await addBase(env))
  const odd = form.odd && {
    store_layers: [
      [store.storePath('app')],
      makeOddTree(store.storeDir).filter(path => isStorePath(path, store.storeDir)),
    ],
  }
  const conf = { ...store.conf, ...odd, ...form.conf, ...(base && { from_image: base.path }) }
  const script = await store.addScript(conf, program)
  const image = await readStreamImage(
    { kind: 'script', path: script },
    { closure: await closureOf(store.storeDir), programs: PROGRAMS },
  )
  if (!image) throw new Error('the script is not known')
  expect(makeConfig(image, base?.base)).toBe(await streamedConfig())
})

function makeConfig({ layers, makeConfig }: StoreImage, base: BaseParts | undefined): string {
  const below: string[] = base ? JSON.parse(`${base.config}`).rootfs.diff_ids : []
  const own = layers.map(layer => {
    if (layer.kind === 'tarFile') return layer.diffId
    if (layer.kind !== 'storeFiles' || isMerged(layer.files)) throw new Error(`a layer of the kind ${layer.kind}`)
    const hash = createHash('sha256')
    for (const chunk of storePathTar(layer.files)) hash.update(chunk)
    return `sha256:${hash.digest('hex')}`
  })
  return makeConfig({ diffIds: [...below, ...own], base }).toString()
}

/** The config in the archive that the program writes, whose digest is the image's id. */
async function streamedConfig(): Promise<string> {
  const program = await store.add('config-of.py', CONFIG_OF)
  const text = await runPython(program, [store.storePath('stream'), store.storePath('image-conf.json')])
  return v.parse(v.string(), JSON.parse(text))
}

/** In JSON, so that no byte is lost. */
const CONFIG_OF = `
import io, json, runpy, sys, tarfile
sys.argv[:] = sys.argv[1:]
stdout, archive = sys.stdout, io.BytesIO()
class Out:
    buffer = archive
sys.stdout = Out
runpy.run_path(sys.argv[0], run_name="__main__")
sys.stdout = stdout
archive.seek(0)
with tarfile.open(fileobj=archive) as tar:
    name = json.load(tar.extractfile("manifest.json"))[0]["Config"]
    json.dump(tar.extractfile(name).read().decode(), stdout)
`
