import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../shim/config/config.ts'
import { parseDockerArchive } from '../../shim/import/archive/docker-archive.ts'
import type { LayoutFiles } from '../../shim/import/archive/layout.ts'
import { parseOciLayout } from '../../shim/import/archive/oci-layout.ts'
import { readNix2ContainerImage } from '../../shim/import/formats/nix2container/image.ts'
import { readStreamConf } from '../../shim/import/formats/nixpkgs-stream/conf-json.ts'
import { hostPlatform, parseConfig as parseImageConfig } from '../../shim/import/image/config.ts'
import type { Closure } from '../../shim/import/store/closure.ts'
import { dockerManifest, indexOf, makeImage, ociEntries } from '../shim/import/image.ts'
import { made } from './runs.ts'

const HOST = hostPlatform()
const CLOSURE: Closure = { storeDir: '/nix/store', infos: new Map(), find: async () => undefined }
const STORE_PATH = `/nix/store/${'0'.repeat(32)}-name`
const LAYER = Buffer.from('layer')
const DIGEST = `sha256:${'0'.repeat(64)}`
const CONFIG = makeImage([LAYER]).config
const NIX2CONTAINER = {
  version: 1,
  arch: HOST.architecture,
  'image-config': { Env: ['A=b'], Labels: { a: 'b' }, ExposedPorts: { '80/tcp': {} } },
  layers: [
    {
      digest: DIGEST,
      diff_ids: DIGEST,
      size: 1,
      mediatype: 'application/vnd.oci.image.layer.v1.tar',
      paths: [
        {
          path: STORE_PATH,
          options: { rewrite: { regex: '^/a', repl: '$1' }, perms: [{ regex: '.*', mode: '0755' }] },
        },
      ],
      History: { created: '1970-01-01T00:00:00Z' },
    },
  ],
}
const STREAM_CONF = {
  architecture: HOST.architecture,
  config: { Cmd: ['/bin/sh'] },
  from_image: null,
  store_layers: [[STORE_PATH]],
  customisation_layer: STORE_PATH,
  created: '1970-01-01T00:00:01+00:00',
  uid: '0',
}

/** A document of that form with some values or bytes changed, or an arbitrary one. */
function changed(document: unknown, maxDepth = 50_000): fc.Arbitrary<Buffer> {
  const text = JSON.stringify(document)
  const values = fc.oneof(
    fc.json({ maxDepth: 3 }),
    fc.constantFrom('null', '[]', '{}', '""', '-1', '1e400', '"\\ud800"', '{"__proto__":1}'),
  )
  const otherValue = fc.tuple(fc.nat(200), values).map(([which, value]) => replaceToken(text, which, value))
  const otherBytes = fc
    .tuple(fc.nat(text.length), fc.nat(3), fc.string({ unit: 'binary', maxLength: 3 }))
    .map(([at, length, piece]) => text.slice(0, at) + piece + text.slice(at + length))
  const deep = fc
    .tuple(fc.nat(maxDepth), fc.constantFrom('[', '{"a":', '[{"a":'))
    .map(([depth, open]) => text.replace(/:/, `:${open.repeat(depth)}`))
  return fc.oneof(otherValue, otherBytes, deep, fc.json()).map(made => Buffer.from(made))
}

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+|null|true|false/g

function replaceToken(text: string, which: number, value: string): string {
  const tokens = [...text.matchAll(TOKEN)]
  const token = tokens[which % tokens.length]
  return token ? text.slice(0, token.index) + value + text.slice(token.index + token[0].length) : text
}

function filesOf(entries: Readonly<Record<string, Buffer>>): LayoutFiles {
  return {
    readDocument: async name => (Object.hasOwn(entries, name) ? entries[name] : undefined),
    storeLayer: async name =>
      name.includes('layer')
        ? {
            digest: DIGEST,
            size: LAYER.length,
            unpackedSize: 1,
            hasContent: true,
            hasStorePath: false,
            compression: 'none',
          }
        : undefined,
  }
}

const OCI = Object.fromEntries(
  ociEntries(makeImage([LAYER])).map(({ name, content }) => [name, Buffer.from(content ?? '')]),
)
const plan = { host: HOST, wanted: 'registry.example/team/app:1', onLayer: () => {} }

describe('an arbitrary document of an image is either valid or rejected with a ShimError, as', () => {
  it.each<[string, unknown, (bytes: Buffer) => unknown]>([
    ['the config of an image', JSON.parse(CONFIG.toString()), bytes => parseImageConfig(bytes, 'config.json')],
    [
      'the manifest of a docker-archive',
      JSON.parse(dockerManifest('config.json', ['layer.tar'])),
      bytes => parseDockerArchive(filesOf({ 'config.json': CONFIG }), bytes, plan),
    ],
    [
      'the config that this manifest names',
      JSON.parse(CONFIG.toString()),
      bytes =>
        parseDockerArchive(
          filesOf({ 'config.json': bytes }),
          Buffer.from(dockerManifest('config.json', ['layer.tar'])),
          plan,
        ),
    ],
    [
      'the index of an OCI layout',
      JSON.parse(String(OCI['index.json'])),
      bytes => parseOciLayout(filesOf(OCI), bytes, plan),
    ],
    [
      'the index of an OCI layout without manifests',
      JSON.parse(indexOf([]).toString()),
      bytes => parseOciLayout(filesOf({}), bytes, plan),
    ],
    [
      'the JSON of nix2container',
      NIX2CONTAINER,
      async bytes => (await readNix2ContainerImage(bytes, CLOSURE))?.makeConfig({ diffIds: [DIGEST] }),
    ],
    ['the conf.json of a stream script', STREAM_CONF, readStreamConf],
  ])('%s', async (_what, document, read) => {
    await fc.assert(
      fc.asyncProperty(changed(document), async bytes => {
        try {
          await read(bytes)
        } catch (error) {
          expect(error).toMatchObject({
            code: expect.stringMatching(/^(ArchiveInvalid|ArchitectureMismatch)$/),
            retryable: false,
          })
        }
      }),
      made(100),
    )
  })
})

it('an arbitrary config of the shim is either accepted or rejected as ConfigInvalid', () => {
  const text = fc.oneof(
    fc.json(),
    fc.string(),
    changed(
      {
        nix: { maxBuilds: 3, options: { cores: 1 } },
        policy: [{ namespaces: ['a'], images: ['b'], flakes: ['c'], maxImageSize: '1GiB' }],
      },
      20,
    ).map(String),
    fc.string({
      unit: fc.constantFrom('a', ':', ' ', '\n', '-', '&', '*', '[', ']', '{', '}', '!', '|', '>', '<<', '"'),
    }),
  )
  fc.assert(
    fc.property(text, config => {
      try {
        parseConfig(config, 'config.yaml')
      } catch (error) {
        expect(error).toMatchObject({ code: 'ConfigInvalid' })
      }
    }),
    made(300),
  )
})
