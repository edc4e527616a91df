import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { addGate, copyExample, type Example } from '../../node/example.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'
import { readStatus } from './read-status.ts'

let bed: Bed
let shim: Shim
let formats: Example
let failures: Example
let gate: string

beforeAll(async () => {
  bed = await startBed()
  shim = await bed.startShim({
    config: {
      nix: { user: bed.buildUser.name, maxBuilds: 1 },
      policy: [{ namespaces: ['team-*'], images: ['**'], flakes: ['path:/**'] }],
    },
  })
  formats = await copyExample('formats', bed.dir)
  failures = await copyExample('failures', bed.dir)
  gate = await addGate(formats)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

interface Pod {
  readonly image: string
  readonly packageName: string
  readonly namespace?: string
  readonly podName?: string
  readonly flakeUrl?: string
}

function pull({ image, packageName, flakeUrl = formats.url, namespace = 'team-a', podName = 'web-1' }: Pod) {
  const kubelet = bed.cri(shim.socket)
  return kubelet.pullImage({ ...recipePull({ image, flakeUrl, packageName }), namespace, podName })
}

const status = () => readStatus(shim.socket)

describe('a shim at rest', () => {
  it('reports itself, and that it has done nothing', async () => {
    const { shim: facts, ...rest } = await status()
    expect(facts).toEqual({
      version: expect.stringMatching(/^\d/),
      startedAt: expect.any(Date),
      containerd: bed.containerdSocket,
      containerdProblem: undefined,
      rules: 1,
      maxBuilds: 1,
      logs: join(shim.stateDir, 'logs'),
    })
    const nothing = { files: 0, bytes: 0 }
    expect(rest).toEqual({
      runs: [],
      queue: [],
      results: [],
      images: [],
      disk: { store: { paths: 0, narBytes: 0 }, digests: nothing, plans: nothing, logs: nothing },
    })
  })
})

describe('builds', () => {
  const running = { image: 'registry.example/status/running:1', packageName: 'gated' }
  const queued = { image: 'registry.example/status/queued:1', packageName: 'docker-archive' }
  const last = { image: 'registry.example/status/last:1', packageName: 'docker-archive-gzip' }

  it('show their requests while they run or wait, and become results and images', async () => {
    await rm(gate, { force: true })
    const pulls = [pull(running), pull({ ...running, namespace: 'team-b', podName: 'web-2' })]
    await expect
      .poll(async () => (await status()).runs[0], PATIENT)
      .toMatchObject({ waiting: 2, progress: { text: expect.stringContaining('gated') } })
    pulls.push(pull({ ...queued, namespace: 'team-c' }))
    await expect.poll(async () => (await status()).queue.length, PATIENT).toBe(1)
    pulls.push(pull({ ...last, namespace: 'team-d' }))
    await expect.poll(async () => (await status()).queue.length, PATIENT).toBe(2)

    const { runs, queue } = await status()
    expect(runs).toEqual([
      {
        image: running.image,
        recipe: `${formats.url}#gated`,
        runId: expect.stringMatching(/^\d{8}T\d{6}Z-/),
        startedAt: expect.any(Date),
        progress: { phase: 'building', done: 0, expected: 1, text: expect.stringContaining('gated') },
        waiting: 2,
        waiters: expect.arrayContaining([
          { namespace: 'team-a', pod: 'web-1' },
          { namespace: 'team-b', pod: 'web-2' },
        ]),
      },
    ])
    expect(queue.map(({ image, progress, waiters }) => [image, progress.done, waiters[0]?.namespace])).toEqual([
      [queued.image, 0, 'team-c'],
      [last.image, 1, 'team-d'],
    ])

    await writeFile(gate, '')
    const [id] = await Promise.all(pulls)
    const after = await status()
    expect([after.runs, after.queue]).toEqual([[], []])
    const images = [running.image, queued.image, last.image]
    expect(new Set(after.results.map(({ image }) => image))).toEqual(new Set(images))
    const result = after.results.find(({ image }) => image === running.image)
    expect(result).toMatchObject({
      recipe: `${formats.url}#gated`,
      runId: runs[0]?.runId,
      imageId: id,
      storePath: expect.stringMatching(/^\/nix\/store\/.*gated/),
      tookMs: expect.any(Number),
      times: 1,
      errorCode: undefined,
    })
    const { size } = (await bed.cri().imageStatus(running.image)) ?? {}
    const image = after.images.find(({ image }) => image === running.image)
    expect(image?.updatedAt?.getTime()).toBeGreaterThan(after.shim.startedAt?.getTime() ?? Number.POSITIVE_INFINITY)
    expect(image).toEqual({
      image: running.image,
      imageId: id,
      storePath: result?.storePath,
      size,
      updatedAt: expect.any(Date),
    })
    expect(new Set(after.images.map(({ image }) => image))).toEqual(new Set(images))
    expect(after.disk).toMatchObject({ logs: { files: 3 }, plans: { files: 3 } })
  })

  it('that failed show the code and the first line of the message, once for all attempts', async () => {
    const failing = { image: 'registry.example/status/failed:1', packageName: 'no-evaluation', flakeUrl: failures.url }
    await expect(pull(failing)).rejects.toThrow('broken on purpose')
    expect((await status()).results[0]).toMatchObject({
      image: failing.image,
      recipe: `${failures.url}#no-evaluation`,
      errorCode: 'EvaluationFailed',
      error: expect.stringMatching(/^[^\n]+$/),
      runId: expect.any(String),
      imageId: undefined,
    })
  })

  it('that the policy refuses are also results, with the number of attempts', async () => {
    const refused = { image: 'registry.example/status/refused:1', packageName: 'gated', namespace: 'others' }
    await expect(pull(refused)).rejects.toThrow('policy')
    await expect(pull(refused)).rejects.toThrow('policy')
    const { results } = await status()
    expect(results.filter(({ image }) => image === refused.image)).toEqual([
      expect.objectContaining({ errorCode: 'PolicyRefused', times: 2, tookMs: undefined, runId: undefined }),
    ])
  })
})

describe('images', () => {
  // CRI removes all names of one image together, so this must be another image.
  const kept = { image: 'registry.example/status/kept:1', packageName: 'stream' }

  beforeAll(async () => {
    const { dir, url } = await copyExample('formats', bed.dir)
    const flake = join(dir, 'flake.nix')
    await writeFile(flake, (await readFile(flake, 'utf8')).replace('hello from', 'another hello from'))
    await pull({ ...kept, flakeUrl: url })
  })

  it('are reported with the size of their closure in nix', async () => {
    const { images, disk } = await status()
    const paths = images.flatMap(({ storePath = [] }) => storePath)
    const { stdout } = await bed.run('nix', ['path-info', '--recursive', '--size', ...paths])
    const sizes = stdout.split('\n').map(line => Number(line.split(/\s+/).at(-1)))
    expect(disk.store).toMatchObject({ paths: sizes.length, narBytes: sizes.reduce((sum, size) => sum + size, 0) })
  })

  it('disappear when they are removed, together with their store paths', async () => {
    const before = await status()
    await bed.cri(shim.socket).removeImage(kept.image)
    await expect.poll(async () => (await status()).images.map(({ image }) => image), PATIENT).not.toContain(kept.image)
    const { images, disk } = await status()
    expect(images).toHaveLength(before.images.length - 1)
    expect(disk.store.narBytes).toBeLessThan(before.disk.store.narBytes)
  })
})

describe('without containerd', () => {
  it('the shim reports this and everything else', async () => {
    await pull({ image: 'registry.example/status/away:1', packageName: 'oci-layout' })
    await bed.containerd.stop()
    try {
      const { shim: facts, images, results } = await status()
      expect(facts.containerdProblem).toEqual(expect.any(String))
      expect(images).toEqual([])
      expect(results).not.toEqual([])
    } finally {
      await bed.containerd.start()
    }
    await expect.poll(async () => (await status()).images.length, PATIENT).toBeGreaterThan(0)
    expect((await status()).shim.containerdProblem).toBeUndefined()
  })
})
