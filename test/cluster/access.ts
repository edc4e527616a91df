import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { stringify } from 'yaml'

/** All that a process needs to use a control plane that another process may have started. */
export type Access = v.InferOutput<typeof AccessSchema>

export const AccessSchema = v.object({
  /** URL of the API server. */
  server: v.string(),
  /** The administrator's. */
  token: v.string(),
  /** What the API server's certificate is checked with, as PEM. */
  certificate: v.string(),
  /** The control plane's temp folder: what is put there is gone when it is. */
  dir: v.string(),
})

/** Whom the API server takes a client for: the owner of a token, or anybody by name (the administrator may impersonate). */
export type User = { readonly token: string } | { readonly name: string; readonly groups?: readonly string[] }

/** Writes a kubeconfig file into the control plane's folder and returns its path. The administrator's, unless a user is given. */
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
