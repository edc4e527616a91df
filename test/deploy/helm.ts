import { join } from 'node:path'
import { execa } from 'execa'
import { parseAllDocuments } from 'yaml'
import { helmProgram } from '../node/programs.ts'
import { PATIENCE_MS } from '../patience.ts'

export const CHART = join(import.meta.dirname, '../../deploy/helm/enbi-shim')

/** Runs the real Helm with folders of its own in `dir`. Resolves to its stdout. */
export async function runHelm(
  args: readonly string[],
  { dir, kubeconfig }: { dir: string; kubeconfig?: string },
): Promise<string> {
  const { stdout } = await execa(helmProgram('helm'), args, {
    env: { PATH: process.env.PATH, HOME: dir, ...(kubeconfig !== undefined && { KUBECONFIG: kubeconfig }) },
    extendEnv: false,
    timeout: PATIENCE_MS,
    stdin: 'ignore',
  })
  return stdout
}

/** The objects of a stream of YAML by kind, namespace and name. */
export function objectsIn(manifests: string): Map<string, unknown> {
  const documents = parseAllDocuments(manifests).filter(document => document.toJS() !== null)
  const keyed = documents.map(document => {
    const [namespace, name] = ['namespace', 'name'].map(key => document.getIn(['metadata', key]))
    return [`${document.get('kind')} ${namespace ?? ''}/${name}`, document] as const
  })
  return new Map(keyed.map(([key, document]) => [key, document.toJS()]))
}
