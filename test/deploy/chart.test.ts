import { cp, mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { type OwnCluster, startCluster } from '../cluster/cluster.ts'
import { readGuide, readTested } from '../docs/code-blocks.ts'
import { helmProgram } from '../node/programs.ts'
import { CHART, objectsIn, runHelm } from './helm.ts'
import { SPEC } from './nixbuilds.ts'

const RELEASE = 'enbi'
let cluster: OwnCluster
let dir: Awaited<ReturnType<typeof mkdtempDisposable>>

beforeAll(async () => {
  dir = await mkdtempDisposable(join(tmpdir(), 'helm-'))
  cluster = await startCluster({ without: ['scheduler'] })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await dir?.[Symbol.asyncDispose]()
})

describe('the rendered chart is what the kustomization has', () => {
  it('by default', async () => {
    await expectSame({}, 'deploy')
  })

  it.each([
    ['a registry', 'deploy/overlays/own-registry', 0],
    ['a flake', 'deploy/overlays/own-flake', 1],
  ])('with %s of your own and the values of the guide', async (_, overlay, index) => {
    const guides = (await readGuide('install-with-helm.md')).filter(({ tested }) => tested === 'values')
    await expectSame(parse(guides[index]?.text ?? ''), overlay)
  })

  it.each([
    ['fixed-images', { fixedImages: { enabled: true } }, 'join-a-cluster.md', 'component'],
    ['prometheus-operator', { prometheusOperator: { enabled: true } }, 'monitoring.md', 'component'],
    ['token', { token: { enabled: true, image: 'docker.io/library/busybox:1.37.0' } }, 'join-a-cluster.md', 'tokens'],
  ])('with the component %s', async (component, values, guide, block) => {
    const copy = join(dir.path, component)
    await cp('deploy', copy, { recursive: true })
    const overlay = join(copy, 'overlays/own')
    await mkdir(overlay)
    const components = await readTested(guide, [block])
    expect(components).toContain(component)
    await writeFile(join(overlay, 'kustomization.yaml'), `resources: [../../base]\n${components}`)
    await expectSame(values, overlay)
  })
})

describe('the chart', () => {
  it('is what Helm calls well made', async () => {
    expect(await runHelm(['lint', '--strict', CHART], { dir: dir.path })).toContain('0 chart(s) failed')
  })

  it.each([
    ['replica: 3', /replica/],
    ['crds: { enable: false }', /enable/],
    ['replicas: many', /integer/],
    ['image: null', /image/],
    ['replicas: null', /replicas/],
    ['crds: null', /crds/],
    ['networkPolicy: { apiServer: [] }', /apiServer/],
    ['extraEnv: [{ name: NODE_OPTIONS, value: --trace-gc }]', /extraEnv/],
  ])('refuses the value `%s`', async (values, told) => {
    await expect(render(parse(values))).rejects.toThrow(told)
  })

  it('leaves out custom resources, NetworkPolicy and PriorityClass if the values say so', async () => {
    const all = objectsIn(await render({}))
    const values = { crds: { enabled: false }, networkPolicy: { enabled: false }, priorityClassName: 'own' }
    const fewer = objectsIn(await render(values))
    expect([...all.keys()].filter(key => !fewer.has(key)).toSorted()).toEqual([
      'CustomResourceDefinition /nixbuilds.enbi.hrzn.ee',
      'CustomResourceDefinition /nixnodes.enbi.hrzn.ee',
      'NetworkPolicy enbi-system/enbi-controller',
      'PriorityClass /enbi-controller',
      'ValidatingAdmissionPolicy /enbi-controller-priority',
      'ValidatingAdmissionPolicyBinding /enbi-controller-priority',
    ])
  })

  it('has objects that the Prometheus operator knows, with the labels of the values', async () => {
    const labels = { release: 'prometheus' }
    const input = await render({ prometheusOperator: { enabled: true, labels } })
    const { stdout } = await execa(helmProgram('check-monitoring'), { input })
    expect(stdout.split('\n').toSorted()).toEqual([
      'monitoring.coreos.com/v1/PodMonitor',
      'monitoring.coreos.com/v1/PrometheusRule',
      'monitoring.coreos.com/v1alpha1/ScrapeConfig',
    ])
    expect(objectsIn(input).get('PodMonitor enbi-system/enbi-controller')).toMatchObject({ metadata: { labels } })
  })
})

describe('a release', () => {
  it('is installed, upgraded, rolled back and uninstalled, and leaves the custom resources', async () => {
    await helm('install', CHART, '--namespace=kube-system')
    expect(await deployed('.spec.replicas')).toBe('2')
    const build = { apiVersion: 'enbi.hrzn.ee/v1alpha1', kind: 'NixBuild', metadata: { name: 'one' }, spec: SPEC }
    await cluster.apply({ ...build, metadata: { ...build.metadata, namespace: 'default' } })

    await helm('upgrade', CHART, '--namespace=kube-system', '--set=replicas=3,extraArgs={--pod-conditions=false}')
    expect(await deployed('.spec.replicas')).toBe('3')
    expect(await deployed('.spec.template.spec.containers[0].args')).toContain('--pod-conditions=false')

    await helm('rollback', '--namespace=kube-system')
    expect(await deployed('.spec.replicas')).toBe('2')
    expect(await deployed('.spec.template.spec.containers[0].args')).not.toContain('--pod-conditions')

    await helm('uninstall', '--namespace=kube-system', '--wait')
    expect(await cluster.kubectl(['get', 'deployments', '-A', '-o', 'name'])).toBe('')
    expect(await cluster.kubectl(['get', 'nixbuild', '-n', 'default', '-o', 'name'])).toContain('/one')
  })

  it('takes over what kubectl has installed', async () => {
    await cluster.kubectl(['apply', '--kustomize', 'deploy'])
    await expect(helm('install', CHART, '--namespace=kube-system')).rejects.toThrow('cannot be imported')
    await helm('install', CHART, '--namespace=kube-system', '--take-ownership', '--set=replicas=1', '--force-conflicts')
    expect(await deployed('.spec.replicas')).toBe('1')
  })
})

/** Compares the objects that Helm and kustomize make. */
async function expectSame(values: unknown, kustomization: string): Promise<void> {
  const [rendered, built] = await Promise.all([render(values), cluster.kubectl(['kustomize', kustomization])])
  const [ours, theirs] = [objectsIn(rendered), objectsIn(built)]
  expect([...ours.keys()].toSorted()).toEqual([...theirs.keys()].toSorted())
  for (const [key, object] of theirs) expect(ours.get(key), key).toEqual(asInChart(key, object))
}

/** The chart keeps custom resources when it is uninstalled. */
function asInChart(key: string, object: unknown): unknown {
  if (!key.startsWith('CustomResourceDefinition ')) return object
  const { metadata, ...rest } = v.parse(v.looseObject({ metadata: v.looseObject({}) }), object)
  return { ...rest, metadata: { ...metadata, annotations: { 'helm.sh/resource-policy': 'keep' } } }
}

async function render(values: unknown): Promise<string> {
  const file = join(dir.path, `values-${files++}.yaml`)
  await writeFile(file, stringify(values))
  return await runHelm(['template', RELEASE, CHART, `--values=${file}`], { dir: dir.path })
}
let files = 0

function helm(command: string, ...args: readonly string[]): Promise<string> {
  const access = { dir: dir.path, kubeconfig: cluster.adminKubeconfig }
  return runHelm([command, RELEASE, ...args], access)
}

function deployed(path: string): Promise<string> {
  return cluster.kubectl(['get', 'deployment/enbi-controller', '-n', 'enbi-system', '-o', `jsonpath={${path}}`])
}
