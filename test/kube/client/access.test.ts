import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { RequestOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node/dist/config.js'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { loadKubeconfig } from '../../../kube/client/kubeconfig.ts'

const inBase64 = (text: string) => Buffer.from(text).toString('base64')
const credential = JSON.stringify({
  apiVersion: 'client.authentication.k8s.io/v1',
  kind: 'ExecCredential',
  status: { token: 'printed', clientCertificateData: 'printed cert', clientKeyData: 'printed key' },
})
const plugin = {
  command: process.execPath,
  args: ['--print', 'process.env.CREDENTIAL'],
  env: [{ name: 'CREDENTIAL', value: credential }],
}
const jwt = ['{}', JSON.stringify({ exp: 4e9 }), 'signature'].map(part => Buffer.from(part).toString('base64url'))

describe('a connection logs in as client-node would', () => {
  it.each<[string, { cluster?: object; user?: object }]>([
    ['with a token', { user: { token: 'secret' } }],
    [
      'with a client certificate in files beside the kubeconfig',
      certificate('client-certificate', 'client-key', 'file'),
    ],
    ['with a client certificate in the kubeconfig', certificate('client-certificate-data', 'client-key-data', 'data')],
    ['with a credential plugin', { user: { exec: plugin } }],
    ['with a credential plugin, which a token overrides', { user: { exec: plugin, token: 'secret' } }],
    ['with a CA in a file', { cluster: { 'certificate-authority': 'file' } }],
    ['with a CA in the kubeconfig', { cluster: { 'certificate-authority-data': inBase64('a CA') } }],
    ['without a check of the certificate', { cluster: { 'insecure-skip-tls-verify': true } }],
    ['with another name in the certificate', { cluster: { 'tls-server-name': 'api.example' } }],
    ['through a proxy', { cluster: { 'proxy-url': 'http://proxy.example:3128' } }],
    ['through a SOCKS proxy', { cluster: { 'proxy-url': 'socks5://proxy.example:1080' } }],
    ['as a user that it impersonates', { user: { token: 'secret', as: 'somebody' } }],
    ['with a password', { user: { username: 'somebody', password: 'secret' } }],
    ['by OpenID Connect', { user: { 'auth-provider': { name: 'oidc', config: { 'id-token': jwt.join('.') } } } }],
    ['without credentials', {}],
  ])('%s', async (_, entries) => {
    await using file = await write(entries)
    const whole = new KubeConfig()
    whole.loadFromFile(file.path)
    const ours = loadKubeconfig(file.path)
    expect(ours.getCurrentCluster()).toEqual(whole.getCurrentCluster())
    expect(await optionsOf(ours)).toEqual(await optionsOf(whole))
  })
})

function certificate(cert: string, key: string, kind: 'file' | 'data') {
  const value = kind === 'file' ? 'file' : inBase64('some PEM')
  return { user: { [cert]: value, [key]: value } }
}

/** The options that a connection reads. */
async function optionsOf(config: Pick<KubeConfig, 'applyToHTTPSOptions'>): Promise<RequestOptions> {
  const options: RequestOptions = {}
  await config.applyToHTTPSOptions(options)
  const { ca, cert, key, rejectUnauthorized, servername, headers } = options
  return { ca, cert, key, rejectUnauthorized, servername, headers }
}

async function write({ cluster, user }: { cluster?: object; user?: object }) {
  const dir = await mkdtemp(join(tmpdir(), 'kubeconfig-'))
  const path = join(dir, 'kubeconfig')
  await writeFile(join(dir, 'file'), 'content of the file')
  await writeFile(
    path,
    stringify({
      clusters: [{ name: 'c', cluster: { server: 'https://api.example:6443/', ...cluster } }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  )
  return { path, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) }
}
