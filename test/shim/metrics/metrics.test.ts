import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { copyExample } from '../../node/example.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'
import { metricsUrl, scrape } from './scrape.ts'

const POLICY = [{ namespaces: ['team-*'], images: ['**'], flakes: ['path:/**'] }]
let bed: Bed
let shim: Shim
let url: string
let flakes: { readonly formats: string; readonly failures: string }
beforeAll(async () => {
  bed = await startBed()
  shim = await bed.startShim({ config: { policy: POLICY, metrics: { address: '127.0.0.1:0' } } })
  url = await metricsUrl(shim)
  const [formats, failures] = [await copyExample('formats', bed.dir), await copyExample('failures', bed.dir)]
  flakes = { formats: formats.url, failures: failures.url }
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

interface Pull {
  readonly image: string
  readonly flakeUrl: string
  readonly packageName: string
  readonly namespace?: string
}

const pull = ({ namespace = 'team-a', ...recipe }: Pull) =>
  bed.cri(shim.socket).pullImage({ ...recipePull(recipe), namespace, podName: 'web' })

/** How much each series grows during `work`. */
async function growth(series: readonly string[], work: () => Promise<unknown>): Promise<(number | undefined)[]> {
  const before = await scrape(url)
  await work()
  const after = await scrape(url)
  return series.map(name => {
    const value = after.get(name)
    return value === undefined ? undefined : value - (before.get(name) ?? 0)
  })
}

const call = (method: string, service = 'runtime.v1.ImageService') =>
  `grpc_type="unary",grpc_service="${service}",grpc_method="${method}"`

describe('metrics', () => {
  it('count a call that is passed on, by its method and code', async () => {
    const labels = call('ImageStatus')
    const series = [
      `grpc_server_started_total{${labels}}`,
      `grpc_server_handled_total{${labels},grpc_code="OK"}`,
      `grpc_server_handling_seconds_count{${labels}}`,
    ]
    expect(await growth(series, () => bed.cri(shim.socket).imageStatus('registry.example/none:1'))).toEqual([1, 1, 1])
  })

  it('count a pull, its build and its import, and the image', async () => {
    const series = [
      'enbi_shim_pulls_total{result="succeeded",code=""}',
      'enbi_shim_pull_duration_seconds_count',
      'enbi_shim_builds_total{result="succeeded",code=""}',
      'enbi_shim_build_duration_seconds_count',
      'enbi_shim_imports_total{result="succeeded",code=""}',
      'enbi_shim_import_duration_seconds_count',
      'enbi_shim_images',
      `grpc_server_handled_total{${call('PullImage')},grpc_code="OK"}`,
    ]
    const recipe = { image: 'registry.example/counted:1', flakeUrl: flakes.formats, packageName: 'docker-archive' }
    expect(await growth(series, () => pull(recipe))).toEqual(series.map(() => 1))
  })

  it('count a build that fails by the code of its error', async () => {
    const series = [
      'enbi_shim_pulls_total{result="failed",code="BuilderFailed"}',
      'enbi_shim_builds_total{result="failed",code="BuilderFailed"}',
      'enbi_shim_imports_total{result="succeeded",code=""}',
      `grpc_server_handled_total{${call('PullImage')},grpc_code="Unknown"}`,
    ]
    const recipe = { image: 'registry.example/failing:1', flakeUrl: flakes.failures, packageName: 'chatty' }
    const failing = () => expect(pull(recipe)).rejects.toThrow('failed')
    expect(await growth(series, failing)).toEqual([1, 1, 0, 1])
  })

  it('count a pull that the policy refuses, and no build', async () => {
    const series = [
      'enbi_shim_pulls_total{result="refused",code="PolicyRefused"}',
      'enbi_shim_builds_total{result="succeeded",code=""}',
    ]
    const recipe = { image: 'registry.example/refused:1', flakeUrl: flakes.formats, packageName: 'docker-archive' }
    const refused = () => expect(pull({ ...recipe, namespace: 'other' })).rejects.toThrow('policy')
    expect(await growth(series, refused)).toEqual([1, 0])
  })

  it('describe the shim', async () => {
    const all = await scrape(url)
    expect([...all.keys()].filter(name => name.startsWith('enbi_shim_build_info'))).toEqual([
      expect.stringMatching(/^enbi_shim_build_info\{version="\d+\.\d+\.\d+"\}$/),
    ])
    expect(all.get('enbi_shim_policy_rules')).toBe(1)
    expect(all.get('process_resident_memory_bytes')).toBeGreaterThan(10_000_000)
  })

  it('contain no image, no namespace and no flake', async () => {
    const text = await (await fetch(`${url}/metrics`)).text()
    expect(text).not.toMatch(/registry\.example|team-a|path:/)
  })
})

describe('health', () => {
  const answer = async (path: string, method = 'GET') => {
    const response = await fetch(`${url}${path}`, { method })
    return [response.status, await response.text()]
  }

  it('is ready while containerd answers, and always alive', async () => {
    expect(await answer('/readyz')).toEqual([200, 'ok: serving\n'])
    await bed.containerd.stop()
    try {
      expect(await answer('/readyz')).toEqual([503, expect.stringContaining(bed.containerdSocket)])
      expect(await answer('/healthz')).toEqual([200, 'ok\n'])
      const all = await scrape(url)
      expect(all.get('enbi_shim_containerd_up')).toBe(0)
      expect(all.has('enbi_shim_images')).toBe(false)
    } finally {
      await bed.containerd.start()
    }
    await vi.waitFor(async () => expect(await answer('/readyz')).toEqual([200, 'ok: serving\n']), PATIENT)
  })

  it('is also reported in time while containerd hangs', async () => {
    const { pid } = bed.containerd
    if (pid === undefined) throw new Error('containerd does not run')
    process.kill(pid, 'SIGSTOP')
    const state = async () => (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.[0]
    await vi.waitFor(async () => expect(await state()).toBe('T'), PATIENT)
    try {
      const [ready, all] = await Promise.all([answer('/readyz'), scrape(url)])
      expect(ready).toEqual([503, expect.stringContaining('no answer within 2 s')])
      expect(all.get('enbi_shim_containerd_up')).toBe(0)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await vi.waitFor(async () => expect(await answer('/readyz')).toEqual([200, 'ok: serving\n']), PATIENT)
  })

  it('is read-only, and other paths do not exist', async () => {
    expect(await answer('/metrics', 'POST')).toEqual([405, expect.any(String)])
    expect(await answer('/healthz', 'HEAD')).toEqual([200, ''])
    expect(await answer('/')).toEqual([404, expect.stringContaining('/metrics')])
  })
})

it('pulls that fail before a run are also counted', async () => {
  const nix = { user: 'nobody-of-that-name' }
  const other = await bed.startShim({ config: { nix, policy: POLICY, metrics: { address: '127.0.0.1:0' } } })
  const recipe = { image: 'registry.example/unbuildable:1', flakeUrl: flakes.formats, packageName: 'stream' }
  const call = { ...recipePull(recipe), namespace: 'team-a', podName: 'web' }
  await expect(bed.cri(other.socket).pullImage(call)).rejects.toThrow('nobody-of-that-name')
  const all = await scrape(await metricsUrl(other))
  expect(all.get('enbi_shim_pulls_total{result="failed",code="BuildUserUnknown"}')).toBe(1)
  expect(all.get('enbi_shim_pull_duration_seconds_count')).toBe(0)
  expect(await other.daemon.stop()).toBe(0)
})

it('metrics are served on an IPv6 address', async () => {
  const other = await bed.startShim({ config: { metrics: { address: '[::1]:0' } } })
  const address = await metricsUrl(other)
  expect(address).toContain('[::1]')
  expect((await scrape(address)).get('enbi_shim_containerd_up')).toBe(1)
  expect(await other.daemon.stop()).toBe(0)
})

it('a shim whose metrics port is in use reports this and still serves the kubelet', async () => {
  const taken = createServer()
  onTestFinished(() => void taken.close())
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  const address = taken.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const other = await bed.startShim({ config: { metrics: { address: `127.0.0.1:${port}` } } })
  expect(await bed.cri(other.socket).imageStatus('registry.example/none:1')).toBeUndefined()
  const said = `127.0.0.1:${port} is in use: choose another metrics.address`
  await vi.waitFor(async () => expect(await other.daemon.logTail()).toContain(said), PATIENT)
  expect(await other.daemon.stop()).toBe(0)
})

it('a shim without a metrics config serves no metrics', async () => {
  const other = await bed.startShim()
  expect(await other.daemon.stop()).toBe(0)
  expect(await other.daemon.logTail(1000)).not.toContain('/metrics')
})
