import { isIPv6 } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import {
  type Cluster,
  type Context,
  newClusters,
  newContexts,
  newUsers,
  type User,
} from '@kubernetes/client-node/dist/config_types.js'
import * as v from 'valibot'
import { FinalError, messageOf } from '../../lib/errors.ts'
import { type Access, createAccess } from './access.ts'
import {
  type EntryKind,
  givenText,
  invalidKubeconfig,
  type Kubeconfig,
  type KubeconfigEntry,
  parseParts,
  readKubeconfig,
} from './kubeconfig-files.ts'

/** Paths of one file, or of several that are merged. */
export type KubeconfigFiles = string | readonly string[]

/** Empty counts as not given. */
const path = v.nullish(v.string())

/** Only the keys that are read here; client-node parses the rest. */
const contextSchema = v.looseObject({
  context: v.looseObject({ cluster: givenText, user: givenText, namespace: v.nullish(v.string()) }),
})
const server = v.pipe(v.string(), v.startsWith('https://', 'https:// URL'), v.url('https:// URL'))
const clusterSchema = v.looseObject({ cluster: v.looseObject({ server, 'certificate-authority': path }) })
const exec = v.nullish(v.looseObject({ command: givenText }))
const absent = v.optional(v.undefined('absent'))
/** client-node runs the programs of others by a shell. It also takes these keys of their `config`, which kubectl ignores. */
const provider = v.nullish(
  v.looseObject({
    name: v.pipe(v.string(), v.value('oidc', 'oidc; kubectl, too, has no others since 1.26: use exec in place of it')),
    config: v.nullish(v.looseObject({ exec: absent, tokenFile: absent })),
  }),
)
const userSchema = v.looseObject({
  user: v.nullish(
    v.looseObject({
      ...{ tokenFile: v.optional(givenText), exec, 'auth-provider': provider },
      ...{ 'client-certificate': path, 'client-key': path },
    }),
  ),
})

/**
 * Reads the kubeconfig, or without a file the ServiceAccount of this pod. Without the name of a context, the current one
 * counts. Throws ConfigInvalid, whose message names the file but never quotes its content.
 */
export function loadKubeconfig(files?: KubeconfigFiles, context?: string): Access {
  return files === undefined ? fromPod() : fromFiles(readKubeconfig([files].flat()), context)
}

/** The namespace of the context, as kubectl takes it. Throws ConfigInvalid. */
export function namespaceOf(files: KubeconfigFiles, context?: string): string {
  return readContext(readKubeconfig([files].flat()), context).namespace || 'default'
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

function fromFiles(config: Kubeconfig, name: string | undefined): Access {
  const context = readContext(config, name)
  return createAccess(readCluster(config, context.cluster), readUser(config, context.user ?? ''))
}

function readContext(config: Kubeconfig, chosen: string | undefined): Context {
  // As for kubectl, an empty name is not given.
  const name = chosen || config.currentContext
  if (name === undefined) throw invalidKubeconfig(config.files, 'current-context is missing')
  const entry = requireEntry(config, 'context', name)
  parseEntry(entry, contextSchema)
  return convert(entry, newContexts)
}

function readCluster(config: Kubeconfig, name: string): Cluster {
  const entry = requireEntry(config, 'cluster', name)
  parseEntry(entry, clusterSchema)
  const cluster = convert(entry, newClusters)
  if (cluster.caFile) cluster.caFile = pathFrom(entry, cluster.caFile)
  return cluster
}

function readUser(config: Kubeconfig, name: string): User {
  const entry = requireEntry(config, 'user', name)
  const { tokenFile, exec } = parseEntry(entry, userSchema).user ?? {}
  const read = convert(entry, newUsers)
  const user = exec?.command.includes('/') ? { ...read, exec: fromItsFolder(entry, exec) } : read
  if (user.certFile) user.certFile = pathFrom(entry, user.certFile)
  if (user.keyFile) user.keyFile = pathFrom(entry, user.keyFile)
  if (tokenFile === undefined) return user
  // client-node 2.0.1 does not know `tokenFile`, the key for tokens that are renewed.
  const { token: _, ...rest } = user
  return { ...rest, ...tokenFrom(pathFrom(entry, tokenFile)) }
}

/** The current folder may have a program of somebody else under that path. */
function fromItsFolder<Exec extends { readonly command: string }>(entry: KubeconfigEntry, exec: Exec): Exec {
  return { ...exec, command: pathFrom(entry, exec.command) }
}

function pathFrom({ file }: KubeconfigEntry, path: string): string {
  return resolve(dirname(resolve(file)), path)
}

function requireEntry(config: Kubeconfig, kind: EntryKind, name: string): KubeconfigEntry {
  const entry = config.find(kind, name)
  if (!entry) throw invalidKubeconfig(config.files, `there is no ${kind} ${JSON.stringify(name)}`)
  return entry
}

function parseEntry<T>({ file, title, content }: KubeconfigEntry, schema: v.GenericSchema<unknown, T>): T {
  return parseParts(file, schema, content, title)
}

function convert<T>({ file, title, content }: KubeconfigEntry, read: (entries: readonly object[]) => readonly T[]): T {
  try {
    const [entry] = read([content])
    if (entry !== undefined) return entry
  } catch (error) {
    throw invalidKubeconfig(file, messageOf(error), error)
  }
  throw invalidKubeconfig(file, `${title} is empty`)
}
