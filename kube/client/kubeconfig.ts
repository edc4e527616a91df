import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { newClusters, newContexts, newUsers, type User } from '@kubernetes/client-node/dist/config_types.js'
import * as v from 'valibot'
import { parseDocument } from 'yaml'
import { FinalError, messageOf } from '../../lib/errors.ts'
import { type Access, createAccess } from './access.ts'

const text = v.pipe(v.string(), v.nonEmpty('text'))
const server = v.pipe(v.string(), v.startsWith('https://', 'https:// URL'), v.url('https:// URL'))

/** Only the keys that are read here; client-node parses the rest. */
const kubeconfigSchema = v.looseObject({
  'current-context': text,
  contexts: v.array(v.looseObject({ name: text, context: v.looseObject({ cluster: text, user: text }) })),
  clusters: v.array(
    v.looseObject({
      name: text,
      cluster: v.looseObject({ server }),
    }),
  ),
  users: v.array(v.looseObject({ name: text, user: v.nullish(v.looseObject({ tokenFile: v.optional(text) })) })),
})

type Kubeconfig = v.InferOutput<typeof kubeconfigSchema>

/**
 * Reads the kubeconfig, or without a file the ServiceAccount of this pod. Throws ConfigInvalid, whose message names the
 * file but never quotes its content.
 */
export function loadKubeconfig(file?: string): Access {
  return file === undefined ? fromPod() : fromFile(file)
}

/** The namespace of the current context, as kubectl takes it. Throws ConfigInvalid. */
export function namespaceOf(file: string): string {
  const content = parse(file, read(file))
  const { contexts } = readEntries(file, content)
  return findEntry(file, 'context', contexts, content['current-context']).namespace || 'default'
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

function fromPod(): Access {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env
  if (!host || !port)
    throw new FinalError('ConfigInvalid', 'no kubeconfig is given, and this process does not run in a pod')
  const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`
  const cluster = { name: 'pod', server, caFile: join(SERVICE_ACCOUNT, 'ca.crt'), skipTLSVerify: false }
  return createAccess(cluster, { name: 'pod', ...tokenFrom(join(SERVICE_ACCOUNT, 'token')) })
}

/** The file is read again for every request (access.ts). */
function tokenFrom(tokenFile: string): Pick<User, 'authProvider'> {
  return { authProvider: { name: 'tokenFile', config: { tokenFile } } }
}

function fromFile(file: string): Access {
  const content = parse(file, read(file))
  const { clusters, contexts, users } = readEntries(file, content)
  const context = findEntry(file, 'context', contexts, content['current-context'])
  const cluster = findEntry(file, 'cluster', clusters, context.cluster)
  const user = findEntry(file, 'user', users, context.user)
  const folder = dirname(resolve(file))
  if (cluster.caFile) cluster.caFile = resolve(folder, cluster.caFile)
  if (user.certFile) user.certFile = resolve(folder, user.certFile)
  if (user.keyFile) user.keyFile = resolve(folder, user.keyFile)
  return createAccess(cluster, withTokenFile(user, content, folder))
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new FinalError('ConfigInvalid', `cannot read the kubeconfig ${file}: ${messageOf(error)}`, { cause: error })
  }
}

function parse(file: string, content: string): Kubeconfig {
  // Pretty errors would quote lines of the file, including tokens and keys.
  const document = parseDocument(content, { prettyErrors: false, logLevel: 'silent' })
  const [error] = document.errors
  if (error) throw invalid(file, `it is not YAML (${error.code} at character ${error.pos[0]})`)
  const result = v.safeParse(kubeconfigSchema, document.toJS())
  if (result.success) return result.output
  const [issue] = result.issues
  const expected = issue.kind === 'validation' ? issue.message : issue.expected
  throw invalid(file, `${v.getDotPath(issue) ?? 'it'} is missing or is not ${expected}`)
}

function readEntries(file: string, { clusters, contexts, users }: Kubeconfig) {
  try {
    return { clusters: newClusters(clusters), contexts: newContexts(contexts), users: newUsers(users) }
  } catch (error) {
    throw invalid(file, messageOf(error), error)
  }
}

function findEntry<T extends { readonly name: string }>(
  file: string,
  kind: string,
  all: readonly T[],
  name: string,
): T {
  const entry = all.find(each => each.name === name)
  if (!entry) throw invalid(file, `there is no ${kind} ${JSON.stringify(name)}`)
  return entry
}

/** client-node 2.0.1 does not know `tokenFile`, the key for tokens that are renewed. */
function withTokenFile(user: User, { users }: Kubeconfig, folder: string): User {
  const file = users.find(({ name }) => name === user.name)?.user?.tokenFile
  if (file === undefined) return user
  const { token: _, ...rest } = user
  return { ...rest, ...tokenFrom(resolve(folder, file)) }
}

function invalid(file: string, problem: string, cause?: unknown): FinalError {
  return new FinalError('ConfigInvalid', `the kubeconfig ${file} is not valid: ${problem}`, { cause })
}
