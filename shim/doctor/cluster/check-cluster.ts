import * as v from 'valibot'
import { NIXBUILD_FIELDS } from '../../../kube/resources/nixbuild.ts'
import { NIXNODE_FIELDS } from '../../../kube/resources/nixnode.ts'
import { lazy } from '../../../lib/async/lazy.ts'
import { messageOf } from '../../../lib/errors.ts'
import { isOlder } from '../../../lib/text/versions.ts'
import type { Config } from '../../config/config.ts'
import { type Check, type Finding, failed, ok, warning } from '../probes/finding.ts'
import { type ApiServer, openApiServer } from './api-server.ts'
import { CLAIM_RIGHTS, judgeRights, SHIM_RIGHTS } from './judge-rights.ts'

const part = v.optional(v.object({ properties: v.optional(v.record(v.string(), v.unknown()), {}) }))

const kind = v.object({ properties: v.object({ spec: part, status: part }) })

type Kubernetes = NonNullable<Config['kubernetes']>

const APPLY = 'kubectl apply -k deploy/base of this version of the project'
const OLDEST = '1.31'
/** Leases and tokens depend on the time. */
const MOST_APART_MS = 5000

export interface ClusterCheckOptions {
  /** Whether this node agrees with others who builds. */
  readonly shares: boolean
}

/** The API server as the shim sees it. `close` ends the connection. */
export function checkCluster(
  { kubeconfig, nodeName }: Kubernetes,
  { shares }: ClusterCheckOptions,
): {
  readonly checks: Check[]
  close(): Promise<void>
} {
  const opened: ApiServer[] = []
  const rights = shares ? [...SHIM_RIGHTS, ...CLAIM_RIGHTS] : SHIM_RIGHTS
  const server = lazy(async () => {
    const api = openApiServer(kubeconfig)
    opened.push(api)
    return api
  })
  const ask = (
    name: string,
    look: (api: ApiServer, signal: AbortSignal) => Promise<Finding>,
    wayOut: string,
  ): Check => ({
    name,
    async look(signal) {
      try {
        return await look(await server(), signal)
      } catch (error) {
        return failed(messageOf(error), wayOut)
      }
    },
  })
  return {
    checks: [
      ask(
        'API server',
        judgeVersion,
        'set kubernetes.kubeconfig to one that works on this node; check its server, CA and token',
      ),
      ask('clock', judgeClock, 'see API server'),
      ask('node identity', (api, signal) => judgeIdentity(api, nodeName, signal), 'see API server'),
      ask('rights', (api, signal) => judgeRights(api, { rights, wayOut: APPLY }, signal), 'see API server'),
      ask('custom resources', judgeKinds, 'see API server'),
    ],
    async close() {
      for (const api of opened) await api[Symbol.asyncDispose]()
    },
  }
}

async function judgeVersion(api: ApiServer, signal: AbortSignal): Promise<Finding> {
  const version = await api.version(signal)
  if (isOlder(version.replace(/^v/, ''), OLDEST))
    return failed(
      `Kubernetes ${version} is too old: tokens cannot be bound to nodes`,
      `upgrade it to ${OLDEST} or newer`,
    )
  return ok(`Kubernetes ${version} answers`)
}

async function judgeClock(api: ApiServer, signal: AbortSignal): Promise<Finding> {
  const aheadMs = await api.clockAheadMs(signal)
  if (aheadMs === undefined) return warning('the API server does not send its time', 'compare the clocks manually')
  const seconds = Math.round(Math.abs(aheadMs) / 1000)
  if (Math.abs(aheadMs) <= MOST_APART_MS) return ok('in sync with the API server')
  return warning(
    `this node's clock is ${seconds} s ${aheadMs > 0 ? 'behind' : 'ahead of'} that of the API server`,
    'synchronize it: timedatectl set-ntp true',
  )
}

async function judgeIdentity(api: ApiServer, nodeName: string, signal: AbortSignal): Promise<Finding> {
  const bound = await api.boundNode(signal)
  if (bound === nodeName) return ok(`the token is bound to ${nodeName}`)
  const renew = `kubectl create token enbi-shim -n enbi-system --bound-object-kind=Node --bound-object-name=${nodeName}`
  if (bound === undefined)
    return failed('the token is bound to no Node: the API server refuses every write', `create one with ${renew}`)
  return failed(
    `the token is bound to ${bound}, but this node is ${nodeName}`,
    `set kubernetes.nodeName, or create a token with ${renew}`,
  )
}

async function judgeKinds(api: ApiServer, signal: AbortSignal): Promise<Finding> {
  const schemas = await api.schemas('enbi.hrzn.ee', 'v1alpha1', signal)
  if (!schemas) return failed('the cluster has neither NixBuilds nor NixNodes', APPLY)
  const missing = missingFields(schemas)
  if (missing.length === 0) return ok('enbi.hrzn.ee/v1alpha1 with every field')
  return failed(`the cluster's custom resources have another version: they lack ${missing.join(', ')}`, APPLY)
}

/** Fields that the shim uses and the cluster's CRDs lack, for example `NixNode status.builds`. */
export function missingFields(schemas: Readonly<Record<string, unknown>>): string[] {
  return [
    ...lacking(schemas, 'NixBuild', { spec: NIXBUILD_FIELDS.spec, status: [] }),
    ...lacking(schemas, 'NixNode', NIXNODE_FIELDS),
  ]
}

type Fields = Readonly<Record<'spec' | 'status', readonly string[]>>

function lacking(schemas: Readonly<Record<string, unknown>>, name: string, { spec, status }: Fields): string[] {
  const found = Object.entries(schemas).find(([key]) => key.endsWith(`.v1alpha1.${name}`))
  const result = v.safeParse(kind, found?.[1])
  const has = result.success ? result.output.properties : {}
  const missing = (part: 'spec' | 'status', fields: readonly string[]) =>
    fields.filter(field => !(field in (has[part]?.properties ?? {}))).map(field => `${name} ${part}.${field}`)
  return [...missing('spec', spec), ...missing('status', status)]
}
