import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { stringify } from 'yaml'
import { loadKubeconfig, namespaceOf } from '../../../kube/client/kubeconfig.ts'

const CREDENTIALS = 'client.authentication.k8s.io/v1'
const SECRET = 'a-token-that-nobody-may-see'
const GOOD = {
  apiVersion: 'v1',
  kind: 'Config',
  clusters: [{ name: 'c', cluster: { server: 'https://api.example:6443', 'certificate-authority': 'ca.crt' } }],
  users: [{ name: 'u', user: { token: SECRET } }],
  contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
  'current-context': 'x',
}

afterEach(() => {
  vi.unstubAllEnvs()
})

test('file names in a kubeconfig are relative to its folder', async () => {
  await using file = await write(stringify(GOOD))
  await writeFile(join(file.dir, 'ca.crt'), 'some certificate')
  const config = loadKubeconfig(file.path)
  expect(config.getCurrentCluster()?.server).toBe('https://api.example:6443')
  expect(await headersOf(config)).toEqual({ Authorization: `Bearer ${SECRET}` })
})

test('a token file is read again for every request, and an empty one is an error', async () => {
  await using file = await write(stringify({ ...GOOD, users: [{ name: 'u', user: { tokenFile: 'token' } }] }))
  await writeFile(join(file.dir, 'ca.crt'), 'some certificate')
  await writeFile(join(file.dir, 'token'), 'first')
  const config = loadKubeconfig(file.path)
  expect(await headersOf(config)).toEqual({ Authorization: 'Bearer first' })
  await writeFile(join(file.dir, 'token'), 'second\n')
  expect(await headersOf(config)).toEqual({ Authorization: 'Bearer second' })
  await writeFile(join(file.dir, 'token'), '\n')
  await expect(headersOf(config)).rejects.toThrow(/the token file .*token is empty/)
})

test('a kubeconfig may name a token file that does not exist yet', async () => {
  await using file = await write(stringify({ ...GOOD, users: [{ name: 'u', user: { tokenFile: 'token' } }] }))
  await writeFile(join(file.dir, 'ca.crt'), 'some certificate')
  const config = loadKubeconfig(file.path)
  await expect(headersOf(config)).rejects.toThrow(/ENOENT.*token/)
  await writeFile(join(file.dir, 'token'), 'first')
  expect(await headersOf(config)).toEqual({ Authorization: 'Bearer first' })
})

test.each([
  ['nothing', '', /current-context is missing/],
  ['a text', 'text', /it is missing or is not Object/],
  ['invalid YAML', `users: [{ token: ${SECRET} }`, /is not YAML \(\w+ at character \d+\)/],
  ['a list', '[]', /current-context/],
  ['no current context', stringify({ ...GOOD, 'current-context': undefined }), /current-context/],
  ['a missing context', stringify({ ...GOOD, 'current-context': 'y' }), /no context "y"/],
  ['a missing cluster', stringify({ ...GOOD, clusters: [] }), /no cluster "c"/],
  ['a missing user', stringify({ ...GOOD, users: [] }), /no user "u"/],
  ['a server that is not a URL', withServer('https://'), /cluster "c": cluster\.server is missing or is not https/],
  ['a server without TLS', withServer('http://api.example'), /https:\/\//],
  ['an alias that it does not define', `current-context: *${SECRET}`, /an alias that cannot be resolved/],
  ['a path that is not text', withCluster({ 'certificate-authority': 5 }), /certificate-authority/],
  ['a namespace that is not text', withContext({ namespace: 5 }), /namespace/],
  ['a certificate that is not text', withUser({ 'client-certificate': 5 }), /client-certificate/],
  ['a key that is not text', withUser({ 'client-key': 5 }), /client-key/],
  ['a provider that client-node runs by a shell', withUser({ 'auth-provider': { name: 'gcp' } }), /name is .*use exec/],
  ['a provider with a program', withProvider({ exec: { command: './login' } }), /config\.exec/],
  ['a provider with a token file', withProvider({ tokenFile: 'token' }), /config\.tokenFile/],
  ['a program that is not text', withUser({ exec: { command: 5 } }), /exec\.command/],
  [
    'a token file that is not text',
    stringify({ ...GOOD, users: [{ name: 'u', user: { tokenFile: 7 } }] }),
    /tokenFile/,
  ],
])('a kubeconfig with %s is rejected by name without quoting secrets', async (_, content, problem) => {
  await using file = await write(content)
  const refused = thrownBy(() => loadKubeconfig(file.path))
  expect(refused).toMatchObject({ code: 'ConfigInvalid' })
  expect(String(refused)).toContain(file.path)
  expect(String(refused)).toMatch(problem)
  expect(`${refused} ${refused instanceof Error ? refused.cause : ''}`).not.toContain(SECRET)
})

test('a missing kubeconfig is rejected by name', () => {
  expect(thrownBy(() => loadKubeconfig('/no/such/kubeconfig'))).toMatchObject({
    code: 'ConfigInvalid',
    message: expect.stringMatching(/cannot read the kubeconfig \/no\/such\/kubeconfig: ENOENT/),
  })
})

test('an empty name of a context stands for the current one', async () => {
  await using file = await write(stringify(GOOD))
  expect(loadKubeconfig(file.path, '').getCurrentCluster()?.server).toBe('https://api.example:6443')
  expect(namespaceOf(file.path, '')).toBe('default')
})

test('entries that the context does not use may have any content', async () => {
  const clusters = [...GOOD.clusters, { name: 'other', cluster: { server: 'http://127.0.0.1:8001' } }]
  await using file = await write(stringify({ ...GOOD, clusters, users: [...GOOD.users, { name: 'other' }] }))
  expect(loadKubeconfig(file.path).getCurrentCluster()?.server).toBe('https://api.example:6443')
})

describe('several kubeconfigs', () => {
  const other = {
    'current-context': 'y',
    clusters: [
      { name: 'c', cluster: { server: 'https://late.example' } },
      { name: 'd', cluster: { server: 'https://other.example', 'certificate-authority': 'ca.crt' } },
    ],
    users: [{ name: 'v', user: { tokenFile: 'token' } }],
    contexts: [{ name: 'y', context: { cluster: 'd', user: 'v', namespace: 'team' } }],
  }

  test('are merged: the first that has a name wins, and paths are relative to the file that has them', async () => {
    await using one = await write(stringify(GOOD))
    await using two = await write(stringify(other))
    await writeFile(join(two.dir, 'ca.crt'), 'some certificate')
    await writeFile(join(two.dir, 'token'), 'of two')
    const files = [one.path, two.path]
    expect(loadKubeconfig(files).getCurrentCluster()?.server).toBe('https://api.example:6443')
    expect(namespaceOf(files)).toBe('default')
    const chosen = loadKubeconfig(files, 'y')
    expect(chosen.getCurrentCluster()?.server).toBe('https://other.example')
    expect(await headersOf(chosen)).toEqual({ Authorization: 'Bearer of two' })
    expect(namespaceOf(files, 'y')).toBe('team')
    expect(loadKubeconfig([two.path, one.path], 'x').getCurrentCluster()?.server).toBe('https://late.example')
  })

  test('run a program for credentials from the folder of their own file, not from the current one', async () => {
    await using one = await write(stringify({ ...GOOD, users: [] }))
    const users = [{ name: 'u', user: { exec: { apiVersion: CREDENTIALS, command: './bin/login' } } }]
    await using two = await write(stringify({ users }))
    await using hostile = await write('')
    await writeFile(join(one.dir, 'ca.crt'), 'some certificate')
    await writeLogin(one.dir, 'of-one')
    await writeLogin(two.dir, 'of-two')
    await writeLogin(hostile.dir, 'hostile')
    const config = loadKubeconfig([one.path, two.path])
    const before = process.cwd()
    try {
      process.chdir(hostile.dir)
      expect(await headersOf(config)).toEqual({ Authorization: 'Bearer of-two' })
    } finally {
      process.chdir(before)
    }
  })

  test('may have one that is empty or does not exist, and need a current context in one of them', async () => {
    await using one = await write('')
    await using two = await write(stringify(other))
    const none = join(one.dir, 'none')
    expect(namespaceOf([none, one.path, two.path])).toBe('team')
    expect(thrownBy(() => loadKubeconfig([none, one.path]))).toMatchObject({
      message: expect.stringContaining(`${none}, ${one.path} is not valid: current-context is missing`),
    })
    expect(thrownBy(() => loadKubeconfig([none, none]))).toMatchObject({ message: expect.stringContaining('ENOENT') })
    expect(thrownBy(() => loadKubeconfig(two.path, 'z'))).toMatchObject({
      code: 'ConfigInvalid',
      message: expect.stringContaining('there is no context "z"'),
    })
  })
})

test("the pod's ServiceAccount is the default, and its absence is an error", () => {
  vi.stubEnv('KUBERNETES_SERVICE_HOST', '')
  expect(thrownBy(() => loadKubeconfig())).toMatchObject({ code: 'ConfigInvalid' })
  vi.stubEnv('KUBERNETES_SERVICE_HOST', '10.0.0.1')
  vi.stubEnv('KUBERNETES_SERVICE_PORT', '443')
  expect(loadKubeconfig().getCurrentCluster()?.server).toBe('https://10.0.0.1:443')
})

function withServer(server: string): string {
  return withCluster({ server })
}

function withCluster(cluster: object): string {
  return stringify({ ...GOOD, clusters: [{ name: 'c', cluster: { server: 'https://api.example', ...cluster } }] })
}

function withContext(context: object): string {
  return stringify({ ...GOOD, contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', ...context } }] })
}

function withUser(user: object): string {
  return stringify({ ...GOOD, users: [{ name: 'u', user }] })
}

function withProvider(config: object): string {
  return withUser({ 'auth-provider': { name: 'oidc', config } })
}

async function write(content: string) {
  const dir = await mkdtemp(join(tmpdir(), 'kubeconfig-'))
  const path = join(dir, 'kubeconfig')
  await writeFile(path, content)
  return { dir, path, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) }
}

/** A program that prints a token, as clouds have for their clusters. */
async function writeLogin(dir: string, token: string): Promise<void> {
  const credential = { apiVersion: CREDENTIALS, kind: 'ExecCredential', status: { token } }
  await mkdir(join(dir, 'bin'))
  await writeFile(join(dir, 'bin/login'), `#!/bin/sh\necho '${JSON.stringify(credential)}'\n`, { mode: 0o755 })
}

async function headersOf(config: ReturnType<typeof loadKubeconfig>) {
  const options = {}
  await config.applyToHTTPSOptions(options)
  return 'headers' in options ? options.headers : undefined
}

function thrownBy(run: () => unknown): unknown {
  try {
    run()
    return undefined
  } catch (error) {
    return error
  }
}
