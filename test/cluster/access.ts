import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { stringify } from 'yaml'

/** Everything that a process needs to use a control plane that another process started. */
export type Access = v.InferOutput<typeof AccessSchema>

export const AccessSchema = v.object({
  /** URL of the API server. */
  server: v.string(),
  /** The administrator's token. */
  token: v.string(),
  /** PEM certificate that verifies the API server. */
  certificate: v.string(),
  /** The control plane's temp folder, which is removed together with it. */
  dir: v.string(),
})

/** A user of the API server: the owner of a token, or any name that the administrator impersonates. */
export type User = { readonly token: string } | { readonly name: string; readonly groups?: readonly string[] }

/**
 * Writes a kubeconfig file into the control plane's folder and returns its path. The default user is the administrator.
 */
export async function writeKubeconfig(access: Access, user?: User): Promise<string> {
  const path = join(access.dir, `kubeconfig-${randomUUID()}`)
  const cluster = {
    server: access.server,
    'certificate-authority-data': Buffer.from(access.certificate).toString('base64'),
  }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'user', user: credentials(access, user) }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'user' } }],
    'current-context': 'test',
  }
  await writeFile(path, stringify(config), { mode: 0o600 })
  return path
}

function credentials(access: Access, user: User | undefined): Record<string, unknown> {
  if (user === undefined) return { token: access.token }
  if ('token' in user) return { token: user.token }
  return { token: access.token, as: user.name, 'as-groups': user.groups ?? [] }
}
