import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node/dist/config.js'
import * as v from 'valibot'
import { parseDocument } from 'yaml'
import { FinalError, messageOf } from '../../lib/errors.ts'

const text = v.pipe(v.string(), v.nonEmpty('text'))
const server = v.pipe(v.string(), v.startsWith('https://', 'https:// URL'), v.url('https:// URL'))

/** As far as it is looked at here; the rest is client-node's. */
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
 * The kubeconfig of that file, or without one what a pod is given. Throws ConfigInvalid, which names the file and never says what is
 * written in it.
 */
export function loadKubeconfig(file?: string): KubeConfig {
  return file === undefined ? fromPod() : fromFile(file)
}

function fromPod(): KubeConfig {
  if (!process.env.KUBERNETES_SERVICE_HOST || !process.env.KUBERNETES_SERVICE_PORT) {
    throw new FinalError('ConfigInvalid', 'no kubeconfig is given, and this is no pod of a cluster')
  }
  const config = new KubeConfig()
  config.loadFromCluster()
  return config
}

function fromFile(file: string): KubeConfig {
  const content = parse(file, read(file))
  const config = new KubeConfig()
  try {
    config.loadFromString(JSON.stringify(content))
  } catch (error) {
    throw invalid(file, messageOf(error), error)
  }
  const folder = dirname(resolve(file))
  config.makePathsAbsolute(folder)
  useTokenFiles(config, content, folder)
  checkContext(file, config)
  return config
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new FinalError('ConfigInvalid', `cannot read the kubeconfig ${file}: ${messageOf(error)}`, { cause: error })
  }
}

function parse(file: string, content: string): Kubeconfig {
  // Pretty errors would quote lines of the file, and with them tokens and keys.
  const document = parseDocument(content, { prettyErrors: false, logLevel: 'silent' })
  const [error] = document.errors
  if (error) throw invalid(file, `it is no YAML (${error.code} at character ${error.pos[0]})`)
  const result = v.safeParse(kubeconfigSchema, document.toJS())
  if (result.success) return result.output
  const [issue] = result.issues
  const expected = issue.kind === 'validation' ? issue.message : issue.expected
  throw invalid(file, `${v.getDotPath(issue) ?? 'it'} is missing or no ${expected}`)
}

/** client-node 2.0.1 does not know `tokenFile`, the key by which a token that is renewed is given; it reads such a file anew each minute. */
function useTokenFiles(config: KubeConfig, { users }: Kubeconfig, folder: string): void {
  const files = new Map(users.map(({ name, user }) => [name, user?.tokenFile]))
  config.users = config.users.map(user => {
    const file = files.get(user.name)
    if (file === undefined) return user
    const { token: _, ...rest } = user
    return { ...rest, authProvider: { name: 'tokenFile', config: { tokenFile: resolve(folder, file) } } }
  })
}

function checkContext(file: string, config: KubeConfig): void {
  const context = config.getContextObject(config.currentContext)
  if (!context?.cluster) throw invalid(file, `there is no context ${JSON.stringify(config.currentContext)}`)
  const cluster = config.getCluster(context.cluster)
  if (!cluster) throw invalid(file, `there is no cluster ${JSON.stringify(context.cluster)}`)
  if (!config.getUser(context.user)) throw invalid(file, `there is no user ${JSON.stringify(context.user)}`)
}

function invalid(file: string, problem: string, cause?: unknown): FinalError {
  return new FinalError('ConfigInvalid', `the kubeconfig ${file} is not valid: ${problem}`, { cause })
}
