import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ObjectName } from '../../kube/client/contract.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import type { Controller } from '../cluster/controller.ts'
import { runKubectl } from '../cluster/kubectl.ts'
import { installPlugin } from '../cluster/kubectl-plugin.ts'
import { SHIM_MAIN } from '../node/own-programs.ts'
import { PATIENT } from '../patience.ts'
import { firstBuild } from './first-build.ts'
import { pending } from './views.ts'
import { startWorld, type World } from './world.ts'

let world: World
let controller: Controller

beforeAll(async () => {
  world = await startWorld()
  controller = await world.cluster.startController({ flags: ['--keep-finished=0', '--node-repel=pool=serving'] })
})
afterAll(async () => {
  await controller?.[Symbol.asyncDispose]()
  await world?.[Symbol.asyncDispose]()
})

const IMAGE = { imageDigest: 'sha256:1', storePath: '/nix/store/0-app' }

const waitForStatus = (build: ObjectName, status: object) =>
  vi.waitFor(async () => expect((await world.build(build))?.status).toMatchObject(status), PATIENT)

/** The nodes that have been asked to make the image. */
const waitForNodes = (build: ObjectName, nodes: readonly string[]) =>
  vi.waitFor(async () => {
    const asked = (await world.assignedNode(build))?.split(',') ?? []
    expect(asked.toSorted()).toEqual([...nodes].sort())
  }, PATIENT)

const label = (node: string, web: string | null) => world.changeNode(node, { metadata: { labels: { web } } })

const select = (build: ObjectName, nodes: object | null) =>
  world.kube.patch(nixBuilds, { ...build, body: { spec: { nodes } } }, { type: 'merge', fieldManager: 'test' })

/** Runs `enbi-shim pull`. */
function pullOn(system: string, namespace: string, image: string, ...more: string[]) {
  const recipe = [image, '--flake', 'github:team/app', '--package', 'app', '--system', system]
  const where = ['--namespace', namespace, '--kubeconfig', world.cluster.adminKubeconfig]
  return execa(process.execPath, [SHIM_MAIN, 'pull', ...recipe, ...where, ...more], { reject: false })
}

describe('a NixBuild that selects nodes', () => {
  it.concurrent('is made on each of them, also on one that gets the label later, and on no other', async () => {
    const namespace = await world.createNamespace()
    const arch = 'arm64'
    const web = { arch, labels: { web: 'yes' } }
    const nodes = [await world.addNode(web), await world.addNode(web), await world.addNode(web)]
    const [first = '', second = '', third = ''] = nodes
    const later = await world.addNode({ arch })
    await world.addNode({ arch, labels: { web: 'yes', pool: 'serving' } })
    await world.addNode({ ...web, withoutShim: true })
    await world.addNode({ labels: { web: 'yes' } })
    const build = await world.addBuild(namespace, {
      system: 'aarch64-linux',
      nodes: { matchExpressions: [{ key: 'web', operator: 'In', values: ['yes', 'maybe'] }] },
    })
    await waitForNodes(build, nodes)
    await world.report(first, build, { state: 'Building' })
    await waitForStatus(build, { status: 'Building', buildNode: first, selected: { count: 3 }, missing: { count: 3 } })

    await world.report(first, build, { state: 'Present', ...IMAGE })
    await waitForNodes(build, [second, third])
    await waitForStatus(build, {
      status: 'Succeeded',
      buildNode: first,
      missing: { count: 2, nodes: [second, third].sort() },
      conditions: [
        { type: 'Complete', status: 'False', reason: 'Preparing', message: '1 of 3 selected nodes have the image' },
        { type: 'Success', status: 'True' },
      ],
    })
    for (const node of [second, third]) await world.report(node, build, { state: 'Present', ...IMAGE })
    await waitForNodes(build, [])
    await waitForStatus(build, { ready: { count: 3 }, conditions: [{ status: 'True' }, {}] })

    await label(later, 'maybe')
    await waitForNodes(build, [later])
    await waitForStatus(build, { selected: { count: 4 }, conditions: [{ status: 'False', reason: 'Preparing' }, {}] })
    // A node that is not selected any more is left alone, with and without the image.
    await label(later, null)
    await label(third, null)
    await waitForNodes(build, [])
    await waitForStatus(build, { selected: { count: 2 }, conditions: [{ status: 'True' }, {}] })
    // As many have it as before.
    await select(build, { matchLabels: { web: 'yes' }, matchExpressions: null })
    const where = ['--namespace', namespace, '--timeout=60s']
    await world.cluster.kubectl(['wait', `nixbuild/${build.name}`, '--for=condition=Complete', ...where])
    // Retention keeps none that have finished.
    const other = await world.addBuild(namespace, {
      system: 'aarch64-linux',
      imageTag: 'other:1',
      nodeSelector: { web: 'yes' },
    })
    const node = await vi.waitFor(async () => (await world.assignedNode(other)) ?? expect.fail('no node'), PATIENT)
    await world.report(node, other, { state: 'Present', ...IMAGE })
    await vi.waitFor(async () => expect(await world.build(other)).toBeUndefined(), PATIENT)
    expect(await world.build(build)).toBeDefined()
  })

  it.concurrent('may select others at any time', async () => {
    const namespace = await world.createNamespace()
    const arch = 'riscv64'
    const a = await world.addNode({ arch, labels: { zone: 'a' } })
    const b = await world.addNode({ arch, labels: { zone: 'b' } })
    const build = await world.addBuild(namespace, { system: 'riscv64-linux', nodes: { matchLabels: { zone: 'c' } } })
    const reason = 'no node for riscv64-linux with a shim has the labels of spec.nodes'
    await waitForStatus(build, pending('NoNode', reason))
    await select(build, { matchLabels: { zone: 'a' } })
    await waitForNodes(build, [a])
    await select(build, null)
    await select(build, { matchLabels: { zone: 'b' } })
    await waitForNodes(build, [b])
    // In a merge patch.
    await select(build, { matchLabels: null })
    await waitForNodes(build, [a, b])
    await world.report(a, build, { state: 'Present', ...IMAGE })
    await waitForNodes(build, [b])
    // Another leader continues where this one ends.
    await controller[Symbol.asyncDispose]()
    controller = await world.cluster.startController({ flags: ['--keep-finished=0', '--node-repel=pool=serving'] })
    await world.report(b, build, { state: 'Present', ...IMAGE })
    await waitForNodes(build, [])
    await waitForStatus(build, { ready: { count: 2 }, conditions: [{ status: 'True' }, {}] })
    await world.kube.delete(nixBuilds, build)
  })

  it.concurrent('is what enbi-shim pull --nodes makes and waits for', async () => {
    const namespace = await world.createNamespace()
    const arch = '386'
    const nodes = [
      await world.addNode({ arch, labels: { web: 'yes' } }),
      await world.addNode({ arch, labels: { web: 'yes' } }),
    ]
    const [a = '', b = ''] = nodes
    const pullImage = (image: string, ...more: string[]) => pullOn('i686-linux', namespace, image, ...more)
    const pull = (...more: string[]) => pullImage('app:cli', ...more)
    const running = pull('--nodes', 'web in (yes)', '--json')
    const build = await firstBuild(world, namespace)
    await waitForNodes(build, nodes)
    await world.report(a, build, { state: 'Building', progress: 'building 1 of 2' })
    await waitForStatus(build, { status: 'Building' })
    await world.report(a, build, { state: 'Present', ...IMAGE })
    await waitForStatus(build, { missing: { count: 1 } })
    await world.report(b, build, { state: 'Present', ...IMAGE })
    const { stdout, stderr, exitCode } = await running
    const events = stdout.split('\n').map(line => JSON.parse(line))
    expect({ exitCode, stderr, last: events.at(-1) }).toEqual({
      exitCode: 0,
      stderr: '',
      last: { phase: 'done', image: 'app:cli', imageId: 'sha256:1' },
    })
    const text = `${a}: building 1 of 2`
    expect(events).toContainEqual(expect.objectContaining({ phase: 'preparing', done: 0, expected: 2, text }))
    expect(events).toContainEqual(expect.objectContaining({ phase: 'preparing', done: 1, expected: 2 }))

    const again = await pull('--nodes', 'web')
    expect(again).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/app:cli is sha256:1$/) })
    await world.addNode({ arch })
    expect(await pull('--nodes', 'all', '--timeout', '10s')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('--timeout'),
    })
    expect(await pull('--nodes', 'web=no')).toMatchObject({
      exitCode: 1,
      stderr: 'enbi-shim: no node for i686-linux with a shim has the labels of --nodes',
    })
    expect(await pull('--nodes', '=')).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--nodes') })
    expect(await world.builds(namespace)).toHaveLength(1)

    await world.kube.delete(nixBuilds, build)
    const bad = pullImage('app:bad', '--nodes', 'web')
    const failing = await firstBuild(world, namespace)
    await waitForNodes(failing, nodes)
    for (const node of nodes) await world.report(node, failing, { state: 'Failed', message: 'no such package' })
    expect(await bad).toMatchObject({ exitCode: 1, stderr: 'enbi-shim: no such package' })
    // Times are in whole seconds.
    const failedAt = Date.now()
    await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(failedAt + 1_000), PATIENT)
    const next = pullImage('app:bad', '--nodes', 'web')
    await waitForNodes(failing, nodes)
    for (const node of nodes) await world.report(node, failing, { state: 'Present', ...IMAGE })
    expect(await next).toMatchObject({ exitCode: 0 })
  })

  it.concurrent('is what kubectl nixbuild prepull makes and waits for, as a plugin of the real kubectl', async () => {
    const { adminKubeconfig: kubeconfig } = world.cluster
    const dir = await mkdtemp(join(tmpdir(), 'enbi-kubectl-'))
    await using kept = new AsyncDisposableStack()
    kept.defer(() => rm(dir, { recursive: true }))
    const plugins = await installPlugin(dir)

    const namespace = await world.createNamespace()
    const inContext = join(dir, 'kubeconfig')
    await copyFile(kubeconfig, inContext)
    const kubectl = (...args: string[]) => runKubectl({ dir, kubeconfig: inContext }, args, { plugins })
    await kubectl('config', 'set-context', '--current', `--namespace=${namespace}`)
    expect(await kubectl('plugin', 'list')).toContain(join(plugins, 'kubectl-nixbuild'))

    const arch = 's390x'
    const node = await world.addNode({ arch, labels: { web: 'yes' } })
    const recipe = ['app:cli', '--flake', 'github:team/app', '--package', 'app', '--system', 's390x-linux']
    const prepull = (...more: string[]) => kubectl('nixbuild', 'prepull', ...recipe, ...more)
    const running = prepull('--nodes', 'web in (yes)', '--json')
    const build = await firstBuild(world, namespace)
    await waitForNodes(build, [node])
    await world.report(node, build, { state: 'Present', ...IMAGE })
    const events = (await running).split('\n').map(line => JSON.parse(line))
    expect(events).toContainEqual(expect.objectContaining({ phase: 'preparing', expected: 1 }))
    expect(events.at(-1)).toEqual({ phase: 'done', image: 'app:cli', imageId: 'sha256:1' })

    const named = ['-n', namespace, '--kubeconfig', kubeconfig]
    expect(await prepull('--nodes', 'all', ...named)).toMatch(/app:cli is sha256:1$/)
    expect(await world.builds(namespace)).toHaveLength(1)
    await expect(prepull('--nodes', 'web=no')).rejects.toMatchObject({
      exitCode: 1,
      stderr: 'kubectl nixbuild: no node for s390x-linux with a shim has the labels of --nodes',
    })
    await expect(prepull()).rejects.toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--nodes') })
    await expect(prepull('--nodes', 'all', '--contents', 'jq')).rejects.toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('--package and --contents exclude each other'),
    })
    await expect(prepull('--nodes', 'all', '--timeout', 'soon')).rejects.toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('--timeout'),
    })
    await expect(prepull('--nodes', 'all', '--kubeconfig', join(dir, 'none'))).rejects.toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('cannot read the kubeconfig'),
    })
  })

  it.concurrent('is built by another node if those only fetch, and ends on all nodes when it is deleted', async () => {
    const namespace = await world.createNamespace()
    const arch = 'ppc64le'
    const fetching = await world.addNode({ arch, fetchOnly: true, labels: { web: 'yes' } })
    const builder = await world.addNode({ arch })
    const build = await world.addBuild(namespace, {
      system: 'powerpc64le-linux',
      nodes: { matchLabels: { web: 'yes' } },
    })
    await waitForNodes(build, [fetching, builder])
    await world.report(builder, build, { state: 'Present', ...IMAGE })
    await waitForNodes(build, [fetching])
    await waitForStatus(build, { buildNode: builder, missing: { count: 1, nodes: [fetching] } })
    await world.kube.delete(nixBuilds, build)
    await waitForNodes(build, [])
    const running = pullOn('powerpc64le-linux', namespace, 'app:cli', '--nodes', 'web')
    const made = await firstBuild(world, namespace)
    await waitForNodes(made, [fetching, builder])
    for (const node of [builder, fetching]) await world.report(node, made, { state: 'Present', ...IMAGE })
    expect(await running).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/app:cli is sha256:1$/) })
  })
})
