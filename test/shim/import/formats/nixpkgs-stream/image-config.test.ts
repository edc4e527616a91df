import { expect, it } from 'vitest'
import { readStreamConf } from '../../../../../shim/import/formats/nixpkgs-stream/conf-json.ts'
import { makeStreamConfig } from '../../../../../shim/import/formats/nixpkgs-stream/image.ts'
import { digestOf } from '../../../../../shim/import/image/json.ts'
import type { BaseParts } from '../../../../../shim/import/image/store-image.ts'

const lib = `/nix/store/${'a'.repeat(32)}-lib-1.0`
const app = `/nix/store/${'b'.repeat(32)}-app`
const top = `/nix/store/${'c'.repeat(32)}-app-customisation-layer`
const contents = [[lib], [app, lib], [top]]

const config = `{"Env": ["PATH=/bin", "GREETING=gr\\u00fc\\u00df dich"], "Cmd": ["/bin/app"], "2": 1.0, "1": [], "Labels": {}}`
const confWith = (config: string) =>
  readStreamConf(
    Buffer.from(
      `{"architecture": "amd64", "config": ${config}, "store_dir": "/nix/store", "from_image": null, "created": "now",
        "store_layers": ${JSON.stringify(contents.slice(0, -1))}, "customisation_layer": "${top}"}`,
    ),
  )

const numbered = (number: number) => `sha256:${String(number).padStart(64, '0')}`
const baseConfig = { config: { Env: ['PATH=/base', 'LANG=C', 'A=1'], Cmd: ['/base'] } }
const base = (config: unknown = baseConfig): BaseParts => ({
  config: Buffer.from(JSON.stringify(config)),
  layerNames: ["layer'1.tar", '0123/layer.tar'],
})

const newer = {
  created: '2024-02-29T12:30:00.500000+05:30',
  diffIds: [
    'sha256:4cbdf7089f687993ab098e4e6e4b597f4b106e52d998c3334a943e55c4f05b14',
    'sha256:1c75b836120c833afdb9fb4854daff6f7a66d2151569151e3554391e0c4d1719',
    numbered(7),
  ],
}
const older = {
  created: '1970-01-01T00:00:01+00:00',
  diffIds: [
    'sha256:ba26ab58450bf426efc223701c8aacfd16f8d764bf5b660e8c4c7d6c06b01243',
    'sha256:2a1025b0891a2a9c41d3983c92ee796c03d1a10450808c549d22e2f28e6f33ce',
    numbered(7),
  ],
}

/** Digests of the configs that nixpkgs' own program wrote for the same conf.json, in both versions. */
it.each([
  ['newer', 'no base', newer, undefined, 'e4e016a61920527a1d25b217038e7837fef220746bef854492a9c17e5a1eda57'],
  ['newer', 'a base', newer, base(), '018dbd20ea29fcb90d50957459087f02886aa046cd8e5a7dabfb3ca85bd2f74f'],
  ['older', 'no base', older, undefined, 'e6e81909993189d440fc392ab1e52ada233e3b74504f3fb5461fd189163d2c53'],
  ['older', 'a base', older, base(), 'd10460de8e854af1e9105d1d04434b9c7650b257d953fad86630b05962b065e8'],
])('the config is the same as that of the %s program, with %s', (_, _base, { created, diffIds }, base, digest) => {
  const image = { ...confWith(config), created, contents, hasBase: base !== undefined }
  const known = { diffIds: base ? [numbered(1), numbered(2), ...diffIds] : diffIds, base }
  expect(digestOf(makeStreamConfig(image, known))).toBe(`sha256:${digest}`)
})

const { created, diffIds } = older
const make = (config: string, parts: BaseParts | undefined, ids = diffIds) =>
  JSON.parse(
    makeStreamConfig(
      { ...confWith(config), created, contents, hasBase: true },
      { diffIds: [numbered(1), numbered(2), ...ids], base: parts },
    ).toString(),
  )

it.each([
  ['{"Env":["B=1","A=2"]}', { config: { Env: ['A=1', 'C', 'A=3'] } }, ['A=2', 'C', 'B=1']],
  ['{"Env":["A"]}', { config: {} }, ['A']],
  ['{"Env":["A=1","A=2"]}', { config: null }, ['A=2']],
  ['{}', { config: { Env: ['A=b=c'] } }, ['A=b=c']],
  ['{}', { config: { Env: null } }, undefined],
  ['{"Env":[]}', {}, []],
])('the environment %s over that of %j', (config, baseConfig, env) => {
  expect(make(config, base(baseConfig)).config.Env).toEqual(env)
})

it.each([
  ['no config', 'null', base(), diffIds],
  ['an Env that is not a list', '{"Env":{}}', base(), diffIds],
  ['an Env of numbers', '{"Env":[1]}', base(), diffIds],
  ['a base with an Env of numbers', '{}', base({ config: { Env: [1] } }), diffIds],
  ['a base that is not JSON', '{}', { config: Buffer.from('{'), layerNames: ['1', '2'] }, diffIds],
  ['a base whose layer is not ASCII', '{}', { ...base(), layerNames: ['1', 'ü'] }, diffIds],
  ['no base where one is named', '{}', undefined, diffIds],
  ['a layer too few', '{}', base(), diffIds.slice(1)],
])('a config with %s is rejected', (_, config, parts, ids) => {
  expect(() => make(config, parts, ids)).toThrow(expect.objectContaining({ code: 'ArchiveInvalid' }))
})
