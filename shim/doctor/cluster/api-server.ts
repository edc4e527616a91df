import * as v from 'valibot'
import { readBody } from '../../../kube/client/answer-body.ts'
import { call } from '../../../kube/client/api-call.ts'
import { createConnection } from '../../../kube/client/connection.ts'
import { loadKubeconfig } from '../../../kube/client/kubeconfig.ts'
import { SHIM } from '../../../kube/resources/names.ts'

export interface Right {
  readonly group: string
  readonly resource: string
  readonly subresource?: string
  readonly verb: string
  /** All namespaces by default. */
  readonly namespace?: string
}

/** What doctor reads from an API server. Every authenticated user may read it. Throws the errors of `Kube`. */
export interface ApiServer extends AsyncDisposable {
  /** For example `v1.33.1`. */
  version(signal: AbortSignal): Promise<string>
  /**
   * How far the server's clock is ahead of ours, in milliseconds, to the second; undefined if it does not send its
   * time.
   */
  clockAheadMs(signal: AbortSignal): Promise<number | undefined>
  /** The Node that our token is bound to, if any. */
  boundNode(signal: AbortSignal): Promise<string | undefined>
  isAllowed(right: Right, signal: AbortSignal): Promise<boolean>
  /** The OpenAPI schemas of a group's version, by name; undefined if the server does not have that version. */
  schemas(group: string, version: string, signal: AbortSignal): Promise<Readonly<Record<string, unknown>> | undefined>
}

/** Throws ConfigInvalid. */
export function openApiServer(kubeconfig: string | undefined): ApiServer {
  const connection = createConnection(loadKubeconfig(kubeconfig), SHIM)
  const get = (operation: string, path: string, signal: AbortSignal) =>
    call(connection, { operation, method: 'GET', path }, { signal })
  const review = (operation: string, path: string, body: object, signal: AbortSignal) =>
    call(connection, { operation, method: 'POST', path, body }, { signal })
  return {
    async version(signal) {
      const { gitVersion } = v.parse(
        v.object({ gitVersion: v.string() }),
        await get('read the version', '/version', signal),
      )
      return gitVersion
    },
    async clockAheadMs(signal) {
      const { headers, body } = await connection.send({
        method: 'GET',
        path: '/version',
        headers: {},
        signal,
        silenceMs: 0,
      })
      await readBody('read the version', body)
      const date = Date.parse(String(headers.date))
      return Number.isNaN(date) ? undefined : date - Date.now()
    },
    async boundNode(signal) {
      const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }
      const { status } = v.parse(selfSchema, await review('review who we are', path, body, signal))
      return status.userInfo.extra?.[NODE_KEY]?.[0]
    },
    async isAllowed({ group, resource, subresource, verb, namespace }, signal) {
      const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
      const resourceAttributes = { group, resource, subresource, verb, namespace }
      const body = {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes },
      }
      return v.parse(accessSchema, await review('review our rights', path, body, signal)).status.allowed
    },
    async schemas(group, version, signal) {
      const path = `apis/${group}/${version}`
      const { paths } = v.parse(indexSchema, await get('read the OpenAPI index', '/openapi/v3', signal))
      if (!(path in paths)) return undefined
      const document = await get(`read the OpenAPI schemas of ${group}`, `/openapi/v3/${path}`, signal)
      return v.parse(openApiSchema, document).components.schemas
    },
    [Symbol.asyncDispose]: () => connection.close(),
  }
}

const NODE_KEY = 'authentication.kubernetes.io/node-name'
const selfSchema = v.object({
  status: v.object({ userInfo: v.object({ extra: v.optional(v.record(v.string(), v.array(v.string()))) }) }),
})
const accessSchema = v.object({ status: v.object({ allowed: v.boolean() }) })
const indexSchema = v.object({ paths: v.record(v.string(), v.unknown()) })
const openApiSchema = v.object({ components: v.object({ schemas: v.record(v.string(), v.unknown()) }) })
