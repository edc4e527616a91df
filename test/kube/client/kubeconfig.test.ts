import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { stringify } from 'yaml'
import { loadKubeconfig } from '../../../kube/client/kubeconfig.ts'

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

test('a kubeconfig is read; files in it are looked for beside it', async () => {
  await using file = await write(stringify(GOOD))
  await writeFile(join(file.dir, 'ca.crt'), 'some certificate')
  const config = loadKubeconfig(file.path)
  expect(config.getCurrentCluster()?.server).toBe('https://api.example:6443')
  expect(await headersOf(config)).toEqual({ Authorization: `Bearer ${SECRET}` })
})

test('a token in a file of its own is read anew when it has been renewed', async () => {
  await using file = await write(stringify({ ...GOOD, users: [{ name: 'u', user: { tokenFile: 'token' } }] }))
  await writeFile(join(file.dir, 'ca.crt'), 'some certificate')
  await writeFile(join(file.dir, 'token'), 'first')
  const config = loadKubeconfig(file.path)
  expect(await headersOf(config)).toEqual({ Authorization: 'Bearer first' })
  await writeFile(join(file.dir, 'token'), 'second')
  vi.useFakeTimers({ now: Date.now() + 61_000 })
  try {
    expect(await headersOf(config)).toEqual({ Authorization: 'Bearer second' })
  } finally {
    vi.useRealTimers()
  }
})

test.each([
  ['nothing', '', /it is missing or no Object/],
  ['no YAML', `users: [{ token: ${SECRET} }`, /is no YAML \(\w+ at character \d+\)/],
  ['a list', '[]', /current-context/],
  ['no context chosen', stringify({ ...GOOD, 'current-context': undefined }), /current-context/],
  ['a context that is not there', stringify({ ...GOOD, 'current-context': 'y' }), /no context "y"/],
  ['a cluster that is not there', stringify({ ...GOOD, clusters: [] }), /no cluster "c"/],
  ['a user that is not there', stringify({ ...GOOD, users: [] }), /no user "u"/],
  ['a server that is no URL', withServer('https://'), /clusters\.0\.cluster\.server is missing or no https/],
  ['a server without TLS', withServer('http://api.example'), /https:\/\//],
  ['a token that is no text', stringify({ ...GOOD, users: [{ name: 'u', user: { tokenFile: 7 } }] }), /tokenFile/],
])('a kubeconfig with %s is refused by name, and none of its secrets is told', async (_, content, problem) => {
  await using file = await write(content)
  const refused = thrownBy(() => loadKubeconfig(file.path))
  expect(refused).toMatchObject({ code: 'ConfigInvalid' })
  expect(String(refused)).toContain(file.path)
  expect(String(refused)).toMatch(problem)
  expect(`${refused} ${refused instanceof Error ? refused.cause : ''}`).not.toContain(SECRET)
})

test('a kubeconfig that is not there is refused by name', () => {
  expect(thrownBy(() => loadKubeconfig('/no/such/kubeconfig'))).toMatchObject({
    code: 'ConfigInvalid',
    message: expect.stringMatching(/cannot read the kubeconfig \/no\/such\/kubeconfig: ENOENT/),
  })
})

test('without a kubeconfig the pod is asked, and outside of a pod that is an error', () => {
  vi.stubEnv('KUBERNETES_SERVICE_HOST', '')
  expect(thrownBy(() => loadKubeconfig())).toMatchObject({ code: 'ConfigInvalid' })
  vi.stubEnv('KUBERNETES_SERVICE_HOST', '10.0.0.1')
  vi.stubEnv('KUBERNETES_SERVICE_PORT', '443')
  expect(loadKubeconfig().getCurrentCluster()?.server).toBe('https://10.0.0.1:443')
})

function withServer(server: string): string {
  return stringify({ ...GOOD, clusters: [{ name: 'c', cluster: { server } }] })
}

async function write(content: string) {
  const dir = await mkdtemp(join(tmpdir(), 'kubeconfig-'))
  const path = join(dir, 'kubeconfig')
  await writeFile(path, content)
  return { dir, path, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) }
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
