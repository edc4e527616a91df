import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { createDaemon, type Daemon } from '../node/daemon.ts'
import type { Namespace } from '../node/namespace.ts'
import { kubernetesProgram } from '../node/programs.ts'
import type { Access } from './access.ts'
import { claimPort } from './claims.ts'
import { waitUntilHealthy } from './health.ts'

export interface ApiServer {
  readonly daemon: Daemon
  /** Signs the tokens of service accounts. The controller manager uses the same key. */
  readonly serviceAccountKey: string
  /** The self-signed certificate, which clients use to verify the server. */
  readonly certificate: string
  /** Works only after the first start, which creates the certificate. */
  access(): Promise<Access>
}

/** Keyed by flag name without dashes. */
export type Flags = Readonly<Record<string, string>>

/** Creates an API server without starting it. It keeps its port, keys and certificate across restarts. */
export async function createApiServer(
  namespace: Namespace,
  env: NodeJS.ProcessEnv,
  { etcdUrl, moreFlags }: { readonly etcdUrl: string; readonly moreFlags?: Flags | undefined },
): Promise<ApiServer> {
  const dir = join(namespace.dir, 'api-server')
  await mkdir(dir)
  const port = await claimPort()
  const token = randomUUID()
  const keys = await writeKeys(namespace.dir, dir)
  const tokens = join(dir, 'tokens.csv')
  await writeFile(tokens, `${token},admin,admin,"system:masters"\n`, { mode: 0o600 })
  const server = `https://127.0.0.1:${port}`
  const flags = {
    'etcd-servers': etcdUrl,
    'secure-port': port,
    'bind-address': '127.0.0.1',
    'cert-dir': dir,
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': keys.publicKey,
    'service-account-signing-key-file': keys.privateKey,
    'token-auth-file': tokens,
    'authorization-mode': 'Node,RBAC',
    'enable-admission-plugins': 'NodeRestriction',
    'service-cluster-ip-range': '10.0.0.0/24',
    'endpoint-reconciler-type': 'none',
    // A test that stops the server does not wait for other clients' watches.
    'shutdown-watch-termination-grace-period': '0s',
    'allow-privileged': true,
    // Kubelets listen on the loopback address, to which the names of their nodes resolve (control-plane.ts).
    'kubelet-preferred-address-types': 'Hostname',
    'kubelet-client-certificate': clientOfKubelets(namespace.dir),
    'kubelet-client-key': keys.clientKey,
    profiling: false,
    ...moreFlags,
  }
  const daemon = createDaemon({
    name: 'kube-apiserver',
    namespace,
    command: [
      kubernetesProgram('kube-apiserver'),
      ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    ],
    env,
    logPath: join(dir, 'log'),
    ready: signal => waitUntilHealthy(`${server}/readyz`, signal, token),
  })
  const certificate = join(dir, 'apiserver.crt')
  return {
    daemon,
    serviceAccountKey: keys.privateKey,
    certificate,
    access: async () => ({ server, token, certificate: await readFile(certificate, 'utf8'), dir: namespace.dir }),
  }
}

/** The certificate of the API server as a client of kubelets. `dir`: the control plane's temp folder. */
export function clientOfKubelets(dir: string): string {
  return join(dir, 'client-of-kubelets.crt')
}

interface Keys {
  readonly privateKey: string
  readonly publicKey: string
  /** Belongs to the certificate `clientOfKubelets`. */
  readonly clientKey: string
}

async function writeKeys(parent: string, dir: string): Promise<Keys> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const files = { privateKey: join(dir, 'service-accounts.key'), publicKey: join(dir, 'service-accounts.pub') }
  await writeFile(files.privateKey, privateKey, { mode: 0o600 })
  await writeFile(files.publicKey, publicKey)
  const clientKey = join(dir, 'client-of-kubelets.key')
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']
  await execa('openssl', [
    ...request,
    '-subj',
    '/CN=api-server',
    '-keyout',
    clientKey,
    '-out',
    clientOfKubelets(parent),
  ])
  return { ...files, clientKey }
}
