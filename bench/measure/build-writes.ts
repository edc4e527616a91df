import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as v from 'valibot'
import { stringify } from 'yaml'
import { createKube } from '../../kube/client/client.ts'
import { IMAGE_BUILT_CONDITION } from '../../kube/resources/names.ts'
import { type Cluster, startCluster } from '../../test/cluster/cluster.ts'
import { podManifest } from '../../test/cluster/pods.ts'
import { copyExample, lockExample } from '../../test/node/example.ts'
import { CONTROLLER_PROGRAM, SHIM_PROGRAM } from '../fixtures/node.ts'
import { createPodUntil, isRunning, type Pod } from '../fixtures/pods.ts'

/** Counts the writes of shim and controller for the build of one pod's image, by the API server's audit log. Leases are excluded. */
export async function measureBuildWrites() {
  const dir = await mkdtemp(join(tmpdir(), 'enbi-audit-'))
  try {
    const log = join(dir, 'log')
    const writes = await countWrites(await writeAuditPolicy(dir), log)
    return { 'controller.writes.per.build': writes }
  } finally {
    await rm(dir, { recursive: true })
  }
}

async function writeAuditPolicy(dir: string): Promise<string> {
  const file = join(dir, 'policy.yaml')
  const accounts = ['enbi-shim', 'enbi-controller'].map(name => `system:serviceaccount:enbi-system:${name}`)
  const verbs = ['create', 'update', 'patch', 'delete']
  const rules = [
    { level: 'None', resources: [{ group: 'coordination.k8s.io' }] },
    { level: 'Metadata', users: accounts, verbs },
    { level: 'None' },
  ]
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules }
  await writeFile(file, stringify(policy))
  return file
}

/** Some writes come late: an Event, for example, waits for others that it could be merged with. */
const AFTERWARDS_MS = 5000

async function countWrites(policy: string, log: string): Promise<number> {
  await using cluster = await startCluster({
    apiServerFlags: { 'audit-policy-file': policy, 'audit-log-path': log },
  })
  await cluster.installDeploy()
  await using _controller = await cluster.startController(CONTROLLER_PROGRAM)
  await using node = await cluster.addNode({ reports: true, shim: SHIM_PROGRAM })
  await untilJoined(cluster, node.name)
  const before = (await readAudits(log)).length
  const image = 'registry.example/bench/hello:1'
  const { url: flakeUrl } = await lockExample(await copyExample('hello', node.bed.dir), node.bed.run)
  const namespace = await cluster.createNamespace()
  const recipe = { image, flakeUrl, packageName: 'image' }
  const manifest = podManifest({ namespace, name: 'hello', image, node: node.name, recipe })
  const kube = createKube({ kubeconfig: cluster.adminKubeconfig })
  try {
    await createPodUntil(kube, { namespace, name: 'hello', manifest }, pod => hasRun(pod) && isReportedBuilt(pod))
  } finally {
    await kube.close()
  }
  await delay(AFTERWARDS_MS)
  const events = (await readAudits(log)).slice(before)
  for (const { verb, objectRef, requestReceivedTimestamp } of events)
    process.stderr.write(`  ${requestReceivedTimestamp} ${verb} ${Object.values(objectRef).join(' ')}\n`)
  return events.length
}

/** The node's first writes are those of a node that joins, not of a build. */
async function untilJoined(cluster: Cluster, node: string): Promise<void> {
  await cluster.kubectl(['wait', `nixnode/${node}`, '--for=jsonpath={.status.observedGeneration}', '--timeout=60s'])
  await delay(AFTERWARDS_MS)
}

async function readAudits(log: string) {
  return (await readFile(log, 'utf8')).trim().split('\n').map(readAudit)
}

function hasRun(pod: Pod): boolean {
  return isRunning(pod) || pod.status.phase === 'Succeeded'
}

function isReportedBuilt({ status }: Pod): boolean {
  return status.conditions.some(({ type, status }) => type === IMAGE_BUILT_CONDITION && status === 'True')
}

const auditSchema = v.object({
  verb: v.string(),
  requestReceivedTimestamp: v.string(),
  objectRef: v.object({
    resource: v.string(),
    subresource: v.optional(v.string(), ''),
    namespace: v.optional(v.string(), ''),
    name: v.optional(v.string(), ''),
  }),
})

function readAudit(line: string) {
  return v.parse(auditSchema, JSON.parse(line))
}
