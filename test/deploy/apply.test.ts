import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import * as v from 'valibot'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { findRecipe } from '../../recipes/find-recipe.ts'
import { startCluster } from '../cluster/cluster.ts'
import { podManifest } from '../cluster/pods.ts'
import { readGuides, readTested } from '../docs/code-blocks.ts'
import { kubernetesProgram } from '../node/programs.ts'
import { PATIENT } from '../patience.ts'
import { SPEC } from './nixbuilds.ts'

const POLICIES = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies'
const OWN_FLAKE = 'deploy/overlays/own-flake'
let cluster: Awaited<ReturnType<typeof startCluster>>

beforeAll(async () => {
  cluster = await startCluster({ without: ['scheduler'] })
  await cluster.kubectl(['apply', '--validate=strict', '--kustomize', 'deploy'])
})

afterAll(() => cluster?.[Symbol.asyncDispose]())

test('applying the manifests a second time changes nothing', async () => {
  const lines = (await cluster.kubectl(['apply', '--kustomize', 'deploy'])).split('\n')
  expect(lines.length).toBeGreaterThan(10)
  // kubectl always sends the selector of a PodDisruptionBudget, and calls it configured.
  const changed = lines.filter(line => !line.endsWith(' unchanged') && !line.startsWith('poddisruptionbudget.'))
  expect(changed).toEqual([])
})

test('the API server accepts the types in the admission policies without a warning', async () => {
  const shim = ['enbi-shim-nixnodes', 'enbi-shim-leases', 'enbi-shim-events', 'enbi-shim-claims']
  for (const name of [...shim, 'enbi-nixbuild-metadata', 'enbi-controller-priority']) {
    const read = async () => v.parse(policySchema, await cluster.read(`${POLICIES}/${name}`))
    await expect.poll(async () => (await read()).status.observedGeneration, PATIENT).toBeDefined()
    expect((await read()).status.typeChecking?.expressionWarnings ?? []).toEqual([])
  }
})

test("the controller's NetworkPolicy opens the ports of its Deployment, and the port for metrics only to monitoring", async () => {
  const policy = v.parse(
    networkSchema,
    await cluster.read('/apis/networking.k8s.io/v1/namespaces/enbi-system/networkpolicies/enbi-controller'),
  )
  const { labels, containers } = podIn(await cluster.kubectl(['kustomize', 'deploy']))
  expect(labels).toMatchObject(policy.spec.podSelector.matchLabels)
  const opened = policy.spec.ingress.map(({ from, ports }) => [from, ports.map(({ port }) => port)])
  const monitoring = { namespaceSelector: { matchLabels: { 'enbi.hrzn.ee/monitoring': 'true' } } }
  expect(opened).toEqual([
    [undefined, ['health']],
    [[monitoring], ['http']],
  ])
  expect(containers[0].ports.map(({ name }) => name).sort()).toEqual(['health', 'http'])
})

test("the controller's pods are admitted into their namespace, with their priority", async () => {
  const get = (path: string) => cluster.kubectl(['get', 'pods', '-n', 'enbi-system', '-o', `jsonpath=${path}`])
  const priorities = async () => (await get('{.items[*].spec.priority}')).split(' ')
  await expect.poll(priorities, PATIENT).toEqual(['100000000', '100000000'])
})

test('a pod of another namespace is not admitted with the priority of the controller', async () => {
  const namespace = await cluster.createNamespace()
  const create = (spec: object) => {
    const pod = { namespace, name: 'first', image: 'registry.example/app:1', node: 'none' }
    const manifest = v.parse(v.looseObject({ spec: v.looseObject({}) }), podManifest(pod))
    const input = JSON.stringify({ ...manifest, spec: { ...manifest.spec, ...spec } })
    return cluster.kubectl(['create', '--dry-run=server', '--filename=-'], { input }).catch(String)
  }
  // The API server takes a moment to know a policy.
  await expect
    .poll(() => create({ priorityClassName: 'enbi-controller' }), PATIENT)
    .toContain('only pods in enbi-system may have the priority class enbi-controller')
  // The number of the class without its name is not accepted.
  expect(await create({ priority: 100_000_000 })).toContain('the integer value of priority')
  expect(await create({})).toContain('pod/first created')
})

test("the PodDisruptionBudget and the Service select the controller's pods", async () => {
  const get = (kind: string, path: string) =>
    cluster.kubectl(['get', kind, 'enbi-controller', '-n', 'enbi-system', '-o', `jsonpath={${path}}`])
  await expect.poll(() => get('pdb', '.status.expectedPods'), PATIENT).toBe('2')
  expect(await get('pdb', '.spec.maxUnavailable')).toBe('1')
  const { labels, containers } = podIn(await cluster.kubectl(['kustomize', 'deploy']))
  expect(labels).toMatchObject(v.parse(labelsSchema, JSON.parse(await get('service', '.spec.selector'))))
  expect(containers[0].ports.map(({ name }) => name)).toContain(await get('service', '.spec.ports[*].targetPort'))
})

test.each((await readGuides()).filter(({ tested }) => tested === 'dry-run'))(
  'the API server takes the object at $place',
  async ({ text }) => {
    await cluster.kubectl(['create', '--dry-run=server', '--validate=strict', '-f-'], { input: text })
  },
)

test('the guide makes a token that is bound to the node, and a kubeconfig that names it', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'join-'))
  await cluster.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'worker-1' } })
  const kubeconfig = await cluster.kubeconfig({ name: 'admin', groups: ['system:masters'] })
  const PATH = `${dirname(kubernetesProgram('kubectl'))}:${process.env.PATH}`
  const script = await readTested('join-a-cluster.md', ['token'])
  await promisify(execFile)('sh', ['-euc', script], {
    cwd: dir.path,
    env: { PATH, HOME: dir.path, KUBECONFIG: kubeconfig },
  })
  const [, claims = ''] = (await readFile(join(dir.path, 'token'), 'utf8')).split('.')
  expect(Buffer.from(claims, 'base64url').toString()).toContain('"node":{"name":"worker-1"')

  const ours = join(dir.path, 'kubeconfig')
  await writeFile(ours, await readTested('join-a-cluster.md', ['kubeconfig']))
  const view = await cluster.kubectl(['config', 'view', '--minify', '-o', 'jsonpath={.users[0].user.tokenFile}'], {
    kubeconfig: ours,
  })
  expect(view).toBe('/run/enbi-token/token')
})

test.each([
  ['view', 'get', 'yes'],
  ['view', 'create', 'no'],
  ['edit', 'create', 'yes'],
  ['edit', 'delete', 'yes'],
])('the role %s has the verb %s on NixBuilds: %s', async (role, verb, expected) => {
  const user = `${role}er`
  await cluster.apply({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: user, namespace: 'default' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
  })
  const mayGet = () => mayUser(user, 'get')
  // The controller manager aggregates the roles after a moment.
  await expect.poll(mayGet, PATIENT).toBe('yes')
  expect(await mayUser(user, verb)).toBe(expected)
})

test('the overlay for a registry of your own sets image and flags, and can be applied', async () => {
  const overlay = 'deploy/overlays/own-registry'
  await cluster.kubectl(['apply', '--dry-run=server', '--validate=strict', '--kustomize', overlay])
  const [{ image, args }, ...others] = containersIn(await cluster.kubectl(['kustomize', overlay]))
  expect(others).toEqual([])
  expect(image).toMatch(/^registry\.example\/.*:0\.1\.0$/)
  expect(args).toEqual([
    '--listen=0.0.0.0:9470',
    '--health-listen=0.0.0.0:9471',
    '--node-repel=node-role.kubernetes.io/control-plane',
  ])
})

test('the overlay for a flake of your own has a locked recipe for the image that its pods name', async () => {
  await cluster.kubectl(['apply', '--dry-run=server', '--validate=strict', '--kustomize', OWN_FLAKE])
  const { annotations, containers } = podIn(await cluster.kubectl(['kustomize', OWN_FLAKE]))
  const recipe = findRecipe({ image: containers[0].image, annotations, system: 'x86_64-linux' })
  expect(recipe).toMatchObject({ packageName: 'controller-image' })
  expect(recipe?.flake.locked).toBe(true)
})

test('the component for tokens can be applied with the image of the guide, and not without being named', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'tokens-'))
  await cp('deploy', dir.path, { recursive: true })
  const overlay = join(dir.path, 'overlays/own')
  await mkdir(overlay)
  const named = await readTested('join-a-cluster.md', ['tokens'])
  await writeFile(join(overlay, 'kustomization.yaml'), `resources: [../../base]\n${named}`)
  const manifests = await cluster.kubectl(['kustomize', overlay])
  expect(manifests).toContain('image: docker.io/library/busybox:1.37.0')
  expect(await cluster.kubectl(['kustomize', 'deploy'])).not.toContain('kind: DaemonSet')
  await cluster.kubectl(['apply', '--validate=strict', '--kustomize', overlay])
})

test('the controller knows every flag of the manifests, and its image has the version of the package', async () => {
  const { stdout: help } = await promisify(execFile)('node', ['controller/main.ts', '--help'])
  for (const dir of ['deploy', 'deploy/overlays/own-registry', OWN_FLAKE]) {
    const [{ args, image }] = containersIn(await cluster.kubectl(['kustomize', dir]))
    for (const flag of args) expect(help).toContain(flag.replace(/=.*/, ' <'))
    const { version } = v.parse(v.object({ version: v.string() }), JSON.parse(await readFile('package.json', 'utf8')))
    expect(image).toMatch(new RegExp(`enbi-controller:${version.replaceAll('.', '\\.')}$`))
  }
})

test('the guide moves stored objects to a newer version of the API, while shims and controller use the older one', async () => {
  const metadata = { namespace: 'default', name: 'stored' }
  await cluster.apply({ apiVersion: 'enbi.hrzn.ee/v1alpha1', kind: 'NixBuild', metadata, spec: SPEC })
  await cluster.apply({ apiVersion: 'enbi.hrzn.ee/v1alpha1', kind: 'NixNode', metadata: { name: 'worker-2' } })
  const crds = ['nixbuilds', 'nixnodes'].map(plural => `${plural}.enbi.hrzn.ee`)
  for (const crd of crds)
    await replaceVersions(crd, ([old]) => [
      { ...old, storage: false },
      { ...old, name: 'v1beta1' },
    ])
  const kube = cluster.client()
  const status = { status: 'Pending' }
  const written = () =>
    kube.patch(
      nixBuilds,
      { ...metadata, body: { status } },
      { type: 'merge', subresource: 'status', fieldManager: 'old' },
    )
  await expect.poll(written, PATIENT).toMatchObject({ spec: SPEC, status })
  const served = (version: string) =>
    cluster.kubectl(['get', `nixbuilds.${version}.enbi.hrzn.ee`, metadata.name, '-o', 'jsonpath={.status.status}'])
  await expect.poll(() => served('v1beta1').catch(String), PATIENT).toBe('Pending')

  const dropOld = (crd: string) => replaceVersions(crd, versions => versions.filter(({ name }) => name === 'v1beta1'))
  await expect(dropOld('nixbuilds.enbi.hrzn.ee')).rejects.toThrow('storedVersions')

  const PATH = `${dirname(kubernetesProgram('kubectl'))}:${process.env.PATH}`
  const env = { PATH, HOME: cluster.access.dir, KUBECONFIG: cluster.adminKubeconfig }
  await promisify(execFile)('sh', ['-euc', await readTested('upgrade.md', ['migrate'])], { env })
  for (const crd of crds) {
    const stored = await cluster.kubectl(['get', 'crd', crd, '-o', 'jsonpath={.status.storedVersions}'])
    expect(stored).toBe('["v1beta1"]')
    await dropOld(crd)
  }
  expect(await served('v1beta1')).toBe('Pending')
})

/** Writes a custom resource with other versions. */
async function replaceVersions(
  crd: string,
  change: (versions: readonly Version[]) => readonly object[],
): Promise<void> {
  const { spec, ...rest } = v.parse(crdSchema, JSON.parse(await cluster.kubectl(['get', 'crd', crd, '-o', 'json'])))
  const versions = change(spec.versions)
  await cluster.kubectl(['replace', '--filename=-'], {
    input: JSON.stringify({ ...rest, spec: { ...spec, versions } }),
  })
}

/** `kubectl auth can-i` fails if the answer is no. */
async function mayUser(user: string, verb: string): Promise<string> {
  const kubeconfig = await cluster.kubeconfig({ name: user, groups: [] })
  const args = ['auth', 'can-i', verb, 'nixbuilds', '--namespace=default']
  return (
    await cluster.kubectl(args, { kubeconfig }).catch((error: { stdout?: unknown }) => `${error.stdout ?? error}`)
  ).trim()
}

const policySchema = v.object({
  status: v.optional(
    v.object({
      observedGeneration: v.optional(v.number()),
      typeChecking: v.optional(v.object({ expressionWarnings: v.optional(v.array(v.unknown())) })),
    }),
    {},
  ),
})

const versionSchema = v.looseObject({ name: v.string(), storage: v.boolean() })
type Version = v.InferOutput<typeof versionSchema>
const crdSchema = v.looseObject({ spec: v.looseObject({ versions: v.array(versionSchema) }) })

const labelsSchema = v.record(v.string(), v.string())

const networkSchema = v.object({
  spec: v.object({
    podSelector: v.object({ matchLabels: labelsSchema }),
    ingress: v.array(
      v.object({ from: v.optional(v.array(v.unknown())), ports: v.array(v.object({ port: v.string() })) }),
    ),
  }),
})

const containersSchema = v.tuple([
  v.object({ image: v.string(), args: v.array(v.string()), ports: v.array(v.object({ name: v.string() })) }),
])

const deploymentSchema = v.object({
  kind: v.literal('Deployment'),
  spec: v.object({
    template: v.object({
      metadata: v.object({ annotations: v.optional(labelsSchema, {}), labels: labelsSchema }),
      spec: v.object({ containers: containersSchema }),
    }),
  }),
})

function containersIn(manifests: string) {
  return podIn(manifests).containers
}

function podIn(manifests: string) {
  const [deployment] = parseAllDocuments(manifests)
    .map(document => v.safeParse(deploymentSchema, document.toJS()))
    .flatMap(parsed => (parsed.success ? [parsed.output] : []))
  if (!deployment) throw new Error('there is no Deployment')
  const { metadata, spec } = deployment.spec.template
  return { ...metadata, ...spec }
}
