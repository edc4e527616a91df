import { readFileSync } from 'node:fs'
import type { RequestOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node/dist/config.js'
import type { Cluster, User } from '@kubernetes/client-node/dist/config_types.js'
import { ExecAuth } from '@kubernetes/client-node/dist/exec_auth.js'
import { FileAuth } from '@kubernetes/client-node/dist/file_auth.js'
import { lazy } from '../../lib/async/lazy.ts'

/** The part of client-node's KubeConfig that a connection needs. */
export type Access = Pick<KubeConfig, 'getCurrentCluster' | 'applyToHTTPSOptions'>

/**
 * client-node's KubeConfig imports every generated model, which costs memory. Certificates, tokens, token files and
 * credential plugins need only two small files of client-node. Everything else, including keys that a later client-node
 * reads, loads the whole KubeConfig.
 */
export function createAccess(cluster: Cluster, user: User): Access {
  const applyToHTTPSOptions = isSimple(cluster, user) ? simpleAccess(cluster, user) : wholeAccess(cluster, user)
  return { getCurrentCluster: () => cluster, applyToHTTPSOptions }
}

const CLUSTER_KEYS: readonly string[] = [
  'name',
  'server',
  'caData',
  'caFile',
  'skipTLSVerify',
  'tlsServerName',
  'proxyUrl',
] satisfies (keyof Cluster)[]
const USER_KEYS: readonly string[] = [
  'name',
  'token',
  'certData',
  'certFile',
  'keyData',
  'keyFile',
  'exec',
  'authProvider',
] satisfies (keyof User)[]

function isSimple(cluster: Cluster, user: User): boolean {
  const hasSimpleProvider = user.authProvider == null || user.authProvider.name === 'tokenFile'
  return hasSimpleProvider && hasOnly(cluster, CLUSTER_KEYS) && hasOnly(user, USER_KEYS)
}

function hasOnly(entry: object, keys: readonly string[]): boolean {
  return Object.entries(entry).every(([key, value]) => value == null || keys.includes(key))
}

type Apply = Access['applyToHTTPSOptions']

function simpleAccess(cluster: Cluster, user: User): Apply {
  const authenticator = [new ExecAuth(), new FileAuth()].find(each => each.isAuthProvider(user))
  return async options => {
    applyTls(cluster, user, options)
    options.headers = {}
    await authenticator?.applyAuthentication(user, options)
    if (user.token) options.headers = { ...options.headers, Authorization: `Bearer ${user.token}` }
  }
}

/** Reads the files for every request, so that renewed certificates are used. */
function applyTls(cluster: Cluster, user: User, options: RequestOptions): void {
  const ca = readEither(cluster.caFile, cluster.caData)
  const cert = readEither(user.certFile, user.certData)
  const key = readEither(user.keyFile, user.keyData)
  Object.assign(options, ca && { ca }, cert && { cert }, key && { key })
  if (cluster.skipTLSVerify) options.rejectUnauthorized = false
  if (cluster.tlsServerName) options.servername = cluster.tlsServerName
}

function readEither(file: string | undefined, data: string | undefined): Buffer | undefined {
  if (file) return readFileSync(file)
  return data ? Buffer.from(data, 'base64') : undefined
}

function wholeAccess(cluster: Cluster, user: User): Apply {
  const config = lazy(async () => {
    const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js')
    const whole = new KubeConfig()
    whole.loadFromClusterAndUser(cluster, user)
    return whole
  })
  return async options => (await config()).applyToHTTPSOptions(options)
}
