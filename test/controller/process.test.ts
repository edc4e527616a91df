import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Controller } from '../cluster/controller.ts'
import { CONTROLLER_MAIN } from '../node/own-programs.ts'
import { PATIENCE_MS, PATIENT } from '../patience.ts'
import { startControllerBehind, startCountingProxy } from './counting-proxy.ts'
import { QUICK_ELECTION, startWorld, type World } from './world.ts'

let world: World
let node: string

beforeAll(async () => {
  world = await startWorld()
  node = await world.addNode()
})
afterAll(async () => world?.[Symbol.asyncDispose]())

const start = (...flags: string[]): Promise<Controller> =>
  world.cluster.startController({ flags: [...QUICK_ELECTION, ...flags] })

async function read({ url }: Controller, path: string): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${url}${path}`)
  return { status: answer.status, text: await answer.text() }
}

const waitForReadiness = (controller: Controller, status: number, text: unknown) =>
  vi.waitFor(async () => expect(await read(controller, '/readyz')).toEqual({ status, text }), PATIENT)

async function waitForBuild(namespace: string): Promise<void> {
  await vi.waitFor(async () => expect(await world.builds(namespace)).toHaveLength(1), PATIENT)
}

async function expectToWork(): Promise<void> {
  const namespace = await world.createNamespace()
  await world.addPod(namespace, node)
  await waitForBuild(namespace)
}

describe('of two controllers', () => {
  it.each(['kill', 'stop'] as const)('one is active, and the other takes over after a %s', async end => {
    await using first = await start()
    await waitForReadiness(first, 200, 'ok: leading\n')
    await using second = await start()
    await waitForReadiness(second, 200, 'ok: another replica leads\n')
    await expectToWork()
    expect((await read(second, '/metrics')).text).toContain('enbi_controller_leader 0')
    expect((await read(second, '/metrics')).text).not.toContain('enbi_controller_reconcile_total{')
    await first.daemon[end]()
    await expectToWork()
    await waitForReadiness(second, 200, 'ok: leading\n')
  })
})

describe('a controller', () => {
  it('exits with 0 when it is stopped', async () => {
    await using controller = await start()
    await waitForReadiness(controller, 200, 'ok: leading\n')
    expect(await controller.daemon.stop()).toBe(0)
    expect(await controller.daemon.logTail()).toContain('"msg":"stopped"')
  })

  it('handles pods that were created while none ran', async () => {
    const namespace = await world.createNamespace()
    await world.addPod(namespace, node)
    await using _controller = await start()
    await waitForBuild(namespace)
  })

  it('continues after the API server was away', async () => {
    const { apiServer } = world.cluster.controlPlane
    await using controller = await start()
    await waitForReadiness(controller, 200, 'ok: leading\n')
    await apiServer.kill()
    await waitForReadiness(controller, 503, expect.stringMatching(/^cannot \w+ \w+/))
    await apiServer.start()
    await waitForReadiness(controller, 200, 'ok: leading\n')
    await expectToWork()
  })

  it('reads nothing again after it was cut off for so long that it lost the lead', async () => {
    const size = 200_000
    const large = await world.addNode()
    await world.changeNode(large, { metadata: { annotations: { 'example.com/large': 'x'.repeat(size) } } })
    onTestFinished(() => world.removeNode(large))
    await using proxy = await startCountingProxy(world.cluster.access.server)
    await using controller = await startControllerBehind(proxy, world.cluster, { flags: QUICK_ELECTION })
    await waitForReadiness(controller, 200, 'ok: leading\n')
    expect(proxy.received).toBeGreaterThan(size)
    proxy.cut()
    const before = proxy.received
    await vi.waitFor(
      async () => expect((await read(controller, '/metrics')).text).toMatch(/^enbi_controller_leader 0$/m),
      PATIENT,
    )
    proxy.reconnect()
    await expectToWork()
    expect(proxy.received - before).toBeLessThan(size)
  })

  it('continues after the API server has lost all old resource versions', async () => {
    const { apiServer } = world.cluster.controlPlane
    await using controller = await start('--log-level=debug')
    await waitForReadiness(controller, 200, 'ok: leading\n')
    // A restart empties the watch cache: earlier watches are answered with 410 or from etcd.
    // It ends without waiting for the watches.
    await apiServer.kill()
    await apiServer.start()
    await expectToWork()
  })

  it('writes no conditions with --pod-conditions=false, but creates NixBuilds', async () => {
    await using _controller = await start('--pod-conditions=false')
    const namespace = await world.createNamespace()
    const pod = await world.addPod(namespace, node)
    await waitForBuild(namespace)
    const [build] = await world.builds(namespace)
    const name = build?.metadata.name ?? ''
    await world.report(node, { namespace, name }, { state: 'Failed', message: 'no space' })
    await vi.waitFor(
      async () => expect((await world.build({ namespace, name }))?.status.status).toBe('Failed'),
      PATIENT,
    )
    expect((await world.pod(pod))?.status.conditions).toEqual([])
  })

  it('serves its metrics and health', async () => {
    await using controller = await start()
    await expectToWork()
    expect(await read(controller, '/healthz')).toEqual({ status: 200, text: 'ok\n' })
    const { text } = await read(controller, '/metrics')
    expect(text).toMatch(/^enbi_controller_leader 1$/m)
    expect(text).toMatch(/^enbi_controller_nixbuilds\{status="Pending"\} [1-9]/m)
    expect(text).toMatch(/^enbi_controller_reconcile_total\{kind="pod",result="done"\} [1-9]/m)
    expect(text).toMatch(/^enbi_controller_queue_depth \d/m)
    expect((await read(controller, '/other')).status).toBe(404)
  })
})

describe('a controller that cannot work', () => {
  it('because of missing rights names verb and resource, and starts once it has them', async () => {
    const { kubectl } = world.cluster
    const rights = await kubectl(['get', 'clusterrole/enbi-controller', '--output=yaml'])
    await kubectl(['delete', 'clusterrole/enbi-controller'])
    await using controller = await startUnready()
    await waitForReadiness(controller, 503, expect.stringMatching(/cannot list resource "pods"/))
    expect((await read(controller, '/readyz')).text).toContain('not all pods have been read yet')
    await vi.waitFor(async () => expect(await controller.daemon.logTail()).toContain('cannot list resource'), PATIENT)
    await kubectl(['apply', '--server-side', '--filename=-'], {
      input: withoutServerFields(rights),
    })
    await waitForReadiness(controller, 200, 'ok: leading\n')
  })

  it('becomes ready once another replica leads', async () => {
    const { kubectl } = world.cluster
    const rights = await kubectl(['get', 'clusterrole/enbi-controller', '--output=yaml'])
    const lease = ['lease/enbi-controller', '--namespace=enbi-system']
    onTestFinished(async () => {
      await kubectl(['apply', '--server-side', '--filename=-'], { input: withoutServerFields(rights) })
      await kubectl(['delete', ...lease])
    })
    await kubectl(['delete', 'clusterrole/enbi-controller'])
    await using controller = await startUnready()
    await waitForReadiness(controller, 503, expect.stringMatching(/cannot list resource "pods"/))
    const spec = { holderIdentity: 'another', leaseDurationSeconds: 3600 }
    await kubectl(['patch', ...lease, '--type=merge', `--patch=${JSON.stringify({ spec })}`])
    await waitForReadiness(controller, 200, 'ok: another replica leads\n')
  })

  it('because the CRD is missing says so, and starts once it is installed', async () => {
    const { kubectl, installDeploy } = world.cluster
    await kubectl(['delete', 'crd/nixbuilds.enbi.hrzn.ee'])
    await using controller = await startUnready()
    await waitForReadiness(
      controller,
      503,
      expect.stringMatching(/refuses to list nixbuilds: it does not know .*kubectl apply -k deploy/),
    )
    await installDeploy()
    await waitForReadiness(controller, 200, 'ok: leading\n')
    await expectToWork()
  })

  it.each([
    [['--node-repel=a b'], 2, '--node-repel <selector>'],
    [['--keep-finished=-1'], 2, 'expected a whole number'],
    [['--max-tries=99'], 2, 'from 1 to 20'],
    [['--max-assigned=0'], 2, 'from 1 to 1000'],
    [['--pod-conditions=no'], 2, 'expected true or false'],
    [['--unwanted-grace=soon'], 2, 'expected a duration'],
    [['--listen=nowhere'], 2, 'expected HOST:PORT'],
    [['--leader-elect-renew=20s'], 2, 'must be shorter'],
    [['--nonsense'], 2, "unknown option '--nonsense'"],
    [['--kubeconfig=/nonexistent', '--listen=127.0.0.1:0'], 2, '/nonexistent'],
  ])('because of %j exits with %i and says why', async (args, exitCode, text) => {
    const run = await execa(process.execPath, [CONTROLLER_MAIN, ...args], { reject: false, timeout: PATIENCE_MS })
    expect(run.exitCode).toBe(exitCode)
    expect(run.stderr).toContain(text)
  })

  it('because its port is in use exits with 1 and says so', async () => {
    await using controller = await start()
    const args = ['--kubeconfig', world.cluster.adminKubeconfig, '--listen', new URL(controller.url).host]
    const run = await execa(process.execPath, [CONTROLLER_MAIN, ...args], { reject: false, timeout: PATIENCE_MS })
    expect(run.exitCode).toBe(1)
    expect(run.stderr).toContain('is in use: choose another --listen')
  })

  it('shows its flags with --help', async () => {
    const { stdout } = await execa(process.execPath, [CONTROLLER_MAIN, '--help'])
    for (const flag of ['--kubeconfig', '--node-repel', '--keep-finished', '--keep-finished-for', '--unwanted-grace']) {
      expect(stdout).toContain(flag)
    }
  })
})

function withoutServerFields(object: string): string {
  return object.replace(/^ {2}(uid|resourceVersion|creationTimestamp):.*$/gm, '')
}

/** Starts without waiting for readiness. */
async function startUnready(): Promise<Controller> {
  return world.cluster.startController({ flags: QUICK_ELECTION, wait: false })
}
