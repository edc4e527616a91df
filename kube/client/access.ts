import { readFileSync } from 'node:fs'
import type { RequestOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node/dist/config.js'
import type { Cluster, User } from '@kubernetes/client-node/dist/config_types.js'
import { ExecAuth } from '@kubernetes/client-node/dist/exec_auth.js'
import * as v from 'valibot'
import { lazy } from '../../lib/async/lazy.ts'

/** The part of client-node's KubeConfig that a connection needs. */
export type Access = Pick<KubeConfig, 'getCurrentCluster' | 'applyToHTTPSOptions'>

/**
 * client-node's KubeConfig imports every generated model, which costs memory. Certificates, tokens, token files and
 * credential plugins need only one small file of client-node. Everything else, including keys that a later client-node
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
  return (
    (user.authProvider == null || tokenFileOf(user) !== undefined) &&
    hasOnly(cluster, CLUSTER_KEYS) &&
    hasOnly(user, USER_KEYS)
  )
}

function hasOnly(entry: object, keys: readonly string[]): boolean {
  return Object.entries(entry).every(([key, value]) => value == null || keys.includes(key))
}

type Apply = Access['applyToHTTPSOptions']

/** Reads the files for every request, so that renewed certificates and tokens are used. */
function simpleAccess(cluster: Cluster, user: User): Apply {
  const plugin = new ExecAuth()
  const hasPlugin = plugin.isAuthProvider(user)
  const file = tokenFileOf(user)
  return async options => {
    applyTls(cluster, user, options)
    options.headers = {}
    if (hasPlugin) await plugin.applyAuthentication(user, options)
    const token = user.token || (file && readToken(file))
    if (token) options.headers = { ...options.headers, Authorization: `Bearer ${token}` }
  }
}

const tokenFileSchema = v.object({
  name: v.literal('tokenFile'),
  config: v.object({ tokenFile: v.pipe(v.string(), v.nonEmpty()) }),
})

/** As client-node names it in the user of a pod. */
function tokenFileOf({ authProvider }: User): string | undefined {
  const parsed = v.safeParse(tokenFileSchema, authProvider)
  return parsed.success ? parsed.output.config.tokenFile : undefined
}

/** client-node would keep it for a minute, but the token of a pod ends with the pod. */
function readToken(file: string): string {
  const token = readFileSync(file, 'utf8').trim()
  // Without a token the API server would take the request for one of a stranger, and refuse it for good.
  if (token === '') throw new Error(`the token file ${file} is empty`)
  return token
}

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
