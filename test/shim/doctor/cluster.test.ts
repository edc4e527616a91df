import { readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAllDocuments, stringify } from 'yaml'
import { SHIM, SYSTEM_NAMESPACE } from '../../../kube/resources/names.ts'
import { missingFields } from '../../../shim/doctor/cluster/check-cluster.ts'
import { CLAIM_RIGHTS, SHIM_RIGHTS } from '../../../shim/doctor/cluster/judge-rights.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import type { ClusterNode } from '../../cluster/node.ts'
import { useCluster } from '../../cluster/use-cluster.ts'
import { type Diagnosis, runDoctor } from './run-doctor.ts'

let cluster: Cluster
let node: ClusterNode
beforeAll(async () => {
  cluster = await useCluster()
  node = await cluster.addNode({ reports: true })
})
afterAll(async () => {
  await node?.[Symbol.asyncDispose]()
  await cluster?.[Symbol.asyncDispose]()
})

/** Runs doctor on the node, with another kubeconfig or node name. */
async function diagnose(kubernetes: object, changes: object = {}): Promise<Diagnosis> {
  const path = join(node.bed.dir, `${Math.random()}.yaml`)
  await writeFile(
    path,
    stringify({ kubernetes, listen: node.shim.socket, containerd: { address: node.bed.containerdSocket }, ...changes }),
  )
  return runDoctor(node.bed, '--config', path)
}

describe('doctor on a node of a cluster', () => {
  it('finds the running kubelet and everything that the shim needs from the API server', async () => {
    const { findings, exitCode } = await runDoctor(node.bed, '--config', node.shim.configPath)
    const of = [
      'kubelet',
      'image pulls',
      'kubelet restart',
      'API server',
      'clock',
      'node identity',
      'rights',
      'custom resources',
    ]
    expect(findings.filter(({ check }) => of.includes(check))).toEqual(
      of.map(check => ({ check, outcome: 'ok', text: expect.any(String) })),
    )
    expect(exitCode).toBe(0)
  })

  it('reports a kubelet that has not read a change of its config', async () => {
    const config = join(node.bed.dir, 'kubelet/config.yaml')
    const before = await stat(config)
    const soon = new Date(Date.now() + 60_000)
    await utimes(config, soon, soon)
    const { of } = await runDoctor(node.bed, '--config', node.shim.configPath)
    await utimes(config, before.atime, before.mtime)
    expect(of('kubelet restart')).toMatchObject({
      outcome: 'warning',
      text: `${config} has changed since the kubelet was started`,
      wayOut: 'restart the kubelet',
    })
  })

  it('reports a token that is bound to another node', async () => {
    const kubeconfig = await cluster.kubeconfig({
      token: await cluster.createToken({ namespace: SYSTEM_NAMESPACE, serviceAccount: SHIM, node: node.name }),
    })
    expect((await diagnose({ kubeconfig, nodeName: 'another' })).of('node identity')).toMatchObject({
      outcome: 'failed',
      text: `the token is bound to ${node.name}, but this node is another`,
      wayOut: expect.stringContaining('--bound-object-name=another'),
    })
  })

  it('reports missing rights, and an identity that is bound to no node', async () => {
    const kubeconfig = await cluster.kubeconfig({ name: 'somebody', groups: ['system:authenticated'] })
    const { of, exitCode } = await diagnose({ kubeconfig, nodeName: node.name })
    expect(of('rights')).toMatchObject({
      outcome: 'failed',
      text: expect.stringMatching(
        /the shim may not get nixbuilds\.enbi\.hrzn\.ee.*patch nixnodes\/status.*leases.* in enbi-system/,
      ),
      wayOut: expect.stringContaining('deploy/'),
    })
    expect(of('rights')?.text).not.toContain('enbi-claims')
    expect(of('node identity')).toMatchObject({ outcome: 'failed', text: expect.stringContaining('bound to no Node') })
    expect(exitCode).toBe(1)
    const sharing = await diagnose({ kubeconfig, nodeName: node.name }, { share: {} })
    expect(sharing.of('rights')).toMatchObject({
      text: expect.stringMatching(/watch leases\.coordination\.k8s\.io in enbi-claims/),
    })
  })

  it('reports an API server that does not accept its identity', async () => {
    const kubeconfig = await cluster.kubeconfig({ token: 'none' })
    expect((await diagnose({ kubeconfig, nodeName: node.name })).of('API server')).toMatchObject({
      outcome: 'failed',
      text: expect.stringContaining('Unauthorized'),
      wayOut: expect.stringContaining('kubernetes.kubeconfig'),
    })
  })
})

describe('what doctor expects of a cluster', () => {
  const RuleSchema = v.object({
    apiGroups: v.array(v.string()),
    resources: v.array(v.string()),
    verbs: v.array(v.string()),
  })
  const RoleSchema = v.object({
    kind: v.picklist(['ClusterRole', 'Role']),
    metadata: v.object({ namespace: v.optional(v.string()) }),
    rules: v.array(RuleSchema),
  })

  it.each([
    ['shim-rights.yaml', SHIM_RIGHTS],
    ['claims.yaml', CLAIM_RIGHTS],
  ])('includes exactly the rights that deploy/base/%s gives the shims', async (file, rights) => {
    const text = await readFile(join(import.meta.dirname, '../../../deploy/base', file), 'utf8')
    const roles = parseAllDocuments(text).flatMap(document => {
      const role = v.safeParse(RoleSchema, document.toJS())
      return role.success ? [role.output] : []
    })
    const given = roles.flatMap(({ metadata, rules }) =>
      rules.flatMap(({ apiGroups, resources, verbs }) =>
        apiGroups.flatMap(group =>
          resources.flatMap(path => verbs.map(verb => [verb, path, group, metadata.namespace ?? ''].join(' '))),
        ),
      ),
    )
    const asked = rights.map(({ group, resource, subresource, verb, namespace }) =>
      [verb, subresource ? `${resource}/${subresource}` : resource, group, namespace ?? ''].join(' '),
    )
    expect(asked.toSorted()).toEqual(given.toSorted())
  })

  it.each([
    [
      'a field of a NixBuild',
      { 'x.v1alpha1.NixBuild': { properties: { spec: { properties: {} } } } },
      'NixBuild spec.flakeUrl',
    ],
    [
      'a field of a NixNode',
      { 'x.v1alpha1.NixNode': { properties: { status: { properties: {} } } } },
      'NixNode status.builds',
    ],
    ['the schema of NixNodes', {}, 'NixNode spec.assigned'],
  ])('includes %s', (_what, schemas, field) => {
    expect(missingFields(schemas)).toContain(field)
  })
})
