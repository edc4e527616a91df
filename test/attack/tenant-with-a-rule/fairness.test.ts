import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ownedBy } from '../../../lib/queues/fair-order.ts'
import { createImporter } from '../../../shim/import/importer.ts'
import { addGate, copyExample, type Example } from '../../node/example.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'
import { dockerEntries, smallImage } from '../../shim/import/image.ts'
import { type ImportNode, startImportNode } from '../../shim/import/import-node.ts'
import { tar } from '../../shim/import/tar.ts'
import { countBuilds, countLogged } from '../../shim/pull/builds.ts'
import { readStatus } from '../../shim/status/read-status.ts'

const GREEDY = 20

let node: ImportNode
beforeAll(async () => {
  node = await startImportNode({ without: [] })
})
afterAll(() => node?.[Symbol.asyncDispose]())

describe('a namespace whose queue of builds never ends', () => {
  let shim: Shim
  let formats: Example
  let gate: string
  let greedy: Promise<string>[]

  const pull = (namespace: string, name: string, packageName: string) =>
    node.bed.cri(shim.socket).pullImage({
      ...recipePull({ image: `registry.example/fair/${name}:1`, flakeUrl: formats.url, packageName }),
      namespace,
    })
  /** The last image in its queue. */
  const last = ['last', 'docker-archive-gzip'] as const

  beforeAll(async () => {
    shim = await node.bed.startShim({
      config: { nix: { user: node.bed.buildUser.name, maxQueuedPerNamespace: GREEDY } },
    })
    formats = await copyExample('formats', node.bed.dir)
    gate = await addGate(formats)
  })

  it('leaves a place to the next namespace, whose pull starts immediately', async () => {
    const endless = Array.from({ length: GREEDY - 1 }, (_, index) => pull('greedy', `endless-${index}`, 'gated'))
    await expect.poll(async () => (await readStatus(shim.socket)).queue.length, PATIENT).toBe(GREEDY - 3)
    greedy = [...endless, pull('greedy', ...last)]
    await expect.poll(async () => (await readStatus(shim.socket)).queue.length, PATIENT).toBe(GREEDY - 2)
    await expect(pull('modest', 'own', 'docker-archive')).resolves.toMatch(/^sha256:/)
    expect((await readStatus(shim.socket)).queue).toHaveLength(GREEDY - 2)
  })

  it('does not delay a pull of another namespace for an image in its queue', async () => {
    await expect(pull('modest', ...last)).resolves.toMatch(/^sha256:/)
    expect((await readStatus(shim.socket)).queue).toHaveLength(GREEDY - 3)
  })

  it('cannot queue more images than its limit, and gets the error before anything runs', async () => {
    const more = pull('greedy', 'as-many-as-it-may', 'gated')
    await expect.poll(async () => (await readStatus(shim.socket)).queue.length, PATIENT).toBe(GREEDY - 2)
    const started = await countLogged(shim, 'pull of a recipe started')
    await expect(pull('greedy', 'one-too-many', 'docker-archive')).rejects.toMatchObject({
      code: 2,
      details: expect.stringMatching(/20 images for namespace "greedy" already.*nix\.maxQueuedPerNamespace/),
    })
    await expect(pull('modest', 'another', 'docker-archive')).resolves.toMatch(/^sha256:/)
    expect(await countLogged(shim, 'pull of a recipe started')).toBe(started + 1)
    await writeFile(gate, '')
    await Promise.all([...greedy, more])
    expect(await countBuilds(shim)).toBe(GREEDY + 3)
  })
})

describe('a namespace whose queue of imports never ends', () => {
  it('leaves a place to the next namespace', async () => {
    const program = await node.addFolder('package', [{ name: 'bin/program', content: '#!/bin/sh\n' }])
    const archive = await node.addFile('archive', await tar(dockerEntries(await smallImage('modest'))))
    const gate = Promise.withResolvers<void>()
    let asked = 0
    const importer = createImporter({
      ...node.options,
      maxImports: 3,
      async queryClosure(path, options) {
        if (path === archive) return node.options.queryClosure(path, options)
        asked += 1
        await gate.promise
        return []
      },
    })
    const importFor = (namespace: string, storePath: string, image: string) =>
      importer.importImage({
        storePath,
        image: `registry.example/fair/${image}:1`,
        labels: {},
        ownedBy: 'example/owner',
        replaceForeign: true,
        plainPackage: {},
        maxImageSize: 2 ** 30,
        owners: ownedBy(namespace),
        signal: new AbortController().signal,
        onProgress: () => {},
      })
    const greedy = Array.from({ length: GREEDY }, (_, index) => importFor('greedy', program, `slow-${index}`))
    await expect.poll(() => asked, PATIENT).toBe(2)
    await expect(importFor('modest', archive, 'modest')).resolves.toMatchObject({ imageId: expect.any(String) })
    expect(asked).toBe(2)
    gate.resolve()
    await Promise.allSettled(greedy)
  })
})
