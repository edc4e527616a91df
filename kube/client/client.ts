import { FinalError, messageOf } from '../../lib/errors.ts'
import { type ApiCall, call, collectionPath, describeObject, objectPath } from './api-call.ts'
import { ApiStatus, isObjectMissing } from './api-error.ts'
import { createConnection } from './connection.ts'
import type { CallOptions, Kind, Kube, NodeLogs, ObjectName, PatchOptions } from './contract.ts'
import { type KubeconfigFiles, loadKubeconfig } from './kubeconfig.ts'
import { listPages } from './list.ts'
import { readNodeLog } from './node-log.ts'
import { watchEvents } from './watch.ts'

const PATCH_TYPES = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const satisfies Record<PatchOptions['type'], string>

export interface KubeOptions {
  /** By default, the API server of the cluster that this pod runs in. */
  readonly kubeconfig?: KubeconfigFiles | undefined
  /** Of the kubeconfig, by default its current context. */
  readonly context?: string | undefined
  /** Name of this program in the API server's logs and in `managedFields`. */
  readonly component?: string
}

/** Throws ConfigInvalid. */
export function createKube({ kubeconfig, context, component = 'enbi' }: KubeOptions = {}): Kube & NodeLogs {
  const connection = createConnection(loadKubeconfig(kubeconfig, context), component)

  async function send<T>(kind: Kind<T>, request: ApiCall, options: CallOptions | undefined): Promise<T> {
    return parseAnswer(kind, request.operation, await call(connection, request, options))
  }

  return {
    get(kind, name, options) {
      const operation = `get ${describeObject(kind, name)}`
      return unlessMissing(send(kind, { operation, method: 'GET', path: objectPath(kind, name) }, options))
    },
    list: (kind, selection, onItem, options) => listPages(connection, kind, selection, onItem, options),
    create(kind, object, options) {
      const operation = `create ${describeObject(kind, object)}`
      const path = collectionPath(kind, object.namespace)
      return send(kind, { operation, method: 'POST', path, body: wholeObject(kind, object) }, options)
    },
    patch(kind, object, { type, subresource, fieldManager, ...options }) {
      const path = objectPath(kind, object, subresource, { fieldManager, force: type === 'apply' ? true : undefined })
      const operation = `patch ${describeObject(kind, object)}${subresource ? ` (${subresource})` : ''}`
      const body = type === 'apply' ? wholeObject(kind, object) : object.body
      return unlessMissing(
        send(kind, { operation, method: 'PATCH', path, body, contentType: PATCH_TYPES[type] }, options),
      )
    },
    replace(kind, object, options) {
      const operation = `update ${describeObject(kind, object)}`
      return send(
        kind,
        { operation, method: 'PUT', path: objectPath(kind, object), body: wholeObject(kind, object) },
        options,
      )
    },
    async delete(kind, { uid, resourceVersion, ...name }, options) {
      const operation = `delete ${describeObject(kind, name)}`
      const isConditional = uid !== undefined || resourceVersion !== undefined
      const preconditions = isConditional && { preconditions: { uid, resourceVersion } }
      const body = { propagationPolicy: 'Background', ...preconditions }
      const deleted = call(connection, { operation, method: 'DELETE', path: objectPath(kind, name), body }, options)
      // A conflict means that the object has changed, or that another object has this name.
      await unlessMissing(deleted, status => isConditional && status.status === 409)
    },
    watch: (kind, options) => watchEvents(connection, kind, options),
    nodeLog: call => readNodeLog(connection, call),
    close: () => connection.close(),
  }
}

/** Adds kind and name, so that callers need not. */
function wholeObject(
  { apiVersion, kind }: Kind<unknown>,
  { name, namespace, body }: ObjectName & { body: object },
): object {
  const metadata = 'metadata' in body && typeof body.metadata === 'object' ? body.metadata : {}
  return { apiVersion, kind, ...body, metadata: { ...metadata, name, ...(namespace !== undefined && { namespace }) } }
}

function parseAnswer<T>(kind: Kind<T>, operation: string, answer: unknown): T {
  try {
    return kind.parse(answer)
  } catch (error) {
    throw new FinalError(
      'ClusterRefused',
      `cannot ${operation}: the answer is not a ${kind.kind}: ${messageOf(error)}`,
      {
        cause: error,
      },
    )
  }
}

async function unlessMissing<T>(
  answer: Promise<T>,
  alsoIgnores: (status: ApiStatus) => boolean = () => false,
): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    const status = error instanceof Error ? error.cause : undefined
    if (status instanceof ApiStatus && (isObjectMissing(status) || alsoIgnores(status))) return undefined
    throw error
  }
}
