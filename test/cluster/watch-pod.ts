import { createInterface } from 'node:readline'
import { execa } from 'execa'
import { IMAGE_BUILT_CONDITION } from '../../kube/resources/names.ts'
import { kubernetesProgram } from '../node/programs.ts'
import type { Cluster } from './cluster.ts'
import type { PodName } from './pods.ts'

const NEW_LINE = '{{"\\n"}}'
const EVENT = `{{.reason}}: {{.message}}${NEW_LINE}`
const NIX_BUILD = `{{with .status}}{{.status}}{{with .progress}}: {{.}}{{end}}{{else}}made{{end}}${NEW_LINE}`
const CONDITION = `, ImageBuilt {{.status}}{{with .reason}} ({{.}}){{end}}`
const POD = `{{.status.phase}}{{range .status.conditions}}{{if eq .type "${IMAGE_BUILT_CONDITION}"}}${CONDITION}{{end}}{{end}}${NEW_LINE}`

/**
 * Reports the events and status of a pod, and the status of the NixBuilds in its namespace, by `kubectl get --watch`.
 */
export function watchPod(cluster: Cluster, pod: PodName, tell: (kind: string, line: string) => void): Disposable {
  const about = `--field-selector=involvedObject.kind=Pod,involvedObject.name=${pod.name}`
  const watches = new DisposableStack()
  const watch = (kind: string, template: string, ...args: string[]) =>
    watches.use(
      watchLines(cluster, [...args, `--namespace=${pod.namespace}`, `--output=go-template=${template}`], line => {
        tell(kind, line)
      }),
    )
  watch('event', EVENT, 'events', about)
  watch('nixbuild', NIX_BUILD, 'nixbuilds')
  watch('pod', POD, 'pods', `--field-selector=metadata.name=${pod.name}`)
  return watches
}

/** Skips a line that is equal to the previous one. */
function watchLines(cluster: Cluster, args: readonly string[], onLine: (line: string) => void): Disposable {
  const child = execa(kubernetesProgram('kubectl'), ['get', ...args, '--watch'], {
    env: { ...process.env, KUBECONFIG: cluster.adminKubeconfig, HOME: cluster.access.dir },
    stdio: ['ignore', 'pipe', 'ignore'],
    buffer: false,
    reject: false,
  })
  let last: string | undefined
  createInterface(child.stdout).on('line', line => {
    if (line !== last) onLine(line)
    last = line
  })
  return { [Symbol.dispose]: () => void child.kill() }
}
