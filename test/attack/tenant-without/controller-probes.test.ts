import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { stringify } from 'yaml'
import { claimPort } from '../../cluster/claims.ts'
import { CONTROLLER_MAIN } from '../../node/own-programs.ts'
import { PATIENT } from '../../patience.ts'
import { holdConnections } from '../strangers.ts'

/** More connections than every limit of the server. */
const MANY = 200

let dir: string
let controller: ReturnType<typeof spawn>
const urls = { metrics: '', health: '' }

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'enbi-'))
  const kubeconfig = join(dir, 'kubeconfig')
  await writeFile(kubeconfig, stringify(unreachable(await claimPort())))
  const [metrics, health] = [`127.0.0.1:${await claimPort()}`, `127.0.0.1:${await claimPort()}`]
  const flags = ['--kubeconfig', kubeconfig, '--listen', metrics, '--health-listen', health]
  controller = spawn(process.execPath, [CONTROLLER_MAIN, ...flags], { stdio: 'ignore' })
  Object.assign(urls, { metrics: `http://${metrics}`, health: `http://${health}` })
  await vi.waitFor(() => probe(urls.health), PATIENT)
})

afterAll(async () => {
  controller?.kill('SIGKILL')
  await rm(dir, { recursive: true, force: true })
})

describe.each(['metrics', 'health'] as const)("idle and slow connections to the controller's port for %s", port => {
  test('do not block a probe from another address', async () => {
    const url = urls[port]
    using strangers = await holdConnections(url, { count: MANY, localAddress: '127.0.0.2' })
    await probe(url)
    expect(strangers.open()).toBeLessThan(MANY)
  })

  test("do not block a probe if they come from many addresses, the probe's own among them", async () => {
    const url = urls[port]
    const holders = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        holdConnections(url, { count: 4, localAddress: `127.0.0.${index + 1}` }),
      ),
    )
    try {
      await probe(url)
    } finally {
      for (const holder of holders) holder[Symbol.dispose]()
    }
  })
})

test('the controller closes idle and slow connections', async () => {
  const plan = { count: 20, localAddress: '127.0.0.3' }
  using ofMetrics = await holdConnections(urls.metrics, plan)
  using ofHealth = await holdConnections(urls.health, plan)
  await vi.waitFor(() => expect([ofMetrics.open(), ofHealth.open()]).toEqual([0, 0]), PATIENT)
})

test("the controller's port for health serves nothing else", async () => {
  expect((await fetch(`${urls.health}/metrics`)).status).toBe(404)
  expect((await fetch(`${urls.health}/readyz`)).status).toBe(503)
})

async function probe(url: string): Promise<void> {
  const answer = await fetch(`${url}/healthz`, { headers: { connection: 'close' } })
  expect(await answer.text()).toBe('ok\n')
}

function unreachable(port: number): object {
  const name = 'away'
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: `https://127.0.0.1:${port}` } }],
    users: [{ name, user: { token: 'none' } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  }
}
