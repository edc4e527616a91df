import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join, normalize } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { type RemoteBuilder, recipeOf, startBuilder } from '../../shim/nix/remote-builder.ts'
import { flakeOf, makeRepository, makeTattler } from '../git-repository.ts'

let bed: Bed
let builder: RemoteBuilder
let host: Host
beforeAll(async () => {
  bed = await startBed({ without: ['containerd'] })
  builder = startBuilder(bed, { nix: { options: { 'download-attempts': '1' } } })
  host = await startHost(bed.dir)
})
afterAll(async () => {
  await host?.[Symbol.asyncDispose]()
  await builder?.[Symbol.asyncDispose]()
  await bed?.[Symbol.asyncDispose]()
})

async function read(url: string): Promise<string> {
  const { storePath } = await builder.build(recipeOf(url, 'app'))
  return (await bed.run('cat', [storePath])).stdout
}

describe('a host of tarballs that gives a different answer the second time', () => {
  const locked = async (name: string) => {
    const flags = ['--extra-experimental-features', 'nix-command']
    const { stdout } = await bed.run('nix', ['hash', 'path', join(bed.dir, 'good-content'), ...flags])
    return `${host.origin}/${name}.tar?narHash=${encodeURIComponent(stdout)}`
  }
  beforeAll(async () => {
    for (const text of ['good', 'evil']) {
      const dir = join(bed.dir, `${text}-content`)
      await mkdir(dir)
      await writeFile(join(dir, 'flake.nix'), flakeOf(text))
      await bed.run('tar', ['-C', dir, '-cf', `${dir}.tar`, '.', '--transform=s,^,x/,'])
    }
  })

  test('gets only the compared content evaluated', async () => {
    host.answer('/first-good.tar', ['good-content.tar', 'evil-content.tar'])
    expect(await read(await locked('first-good'))).toBe('good')
  })

  test('is rejected if its first answer was different', async () => {
    host.answer('/first-evil.tar', ['evil-content.tar', 'good-content.tar'])
    await expect(read(await locked('first-evil'))).rejects.toMatchObject({ code: 'FlakeNotFound' })
  })
})

test('a host of repositories cannot make git run a program or read a local repository by its submodules', async () => {
  const { command, traces } = await makeTattler(bed)
  const secret = await makeRepository(bed, 'local-secret')
  const rev = await secret.commit({ secret: 'secret' })
  await secret.git('update-server-info')
  const repository = await makeRepository(bed, 'with-submodules')
  const honest = `url = "${host.origin}/local-secret/.git"`
  const urls = [
    `ext::${command} ext`,
    `file://${secret.dir}`,
    secret.dir,
    '../local-secret',
    `ssh://-oProxyCommand=${command}/x`,
    `-u${command}`,
  ]
  const hostile = [...urls.map(url => `url = "${url}"`), `${honest}\n\tupdate = !${command} update`]
  for (const [index, lines] of [honest, ...hostile].entries()) {
    const settings = `[submodule "x"]\n\tpath = x\n\t${lines}\n`
    await repository.git('update-index', '--add', '--cacheinfo', `160000,${rev},x`)
    const branch = `branch-${index}`
    const shown = 'if builtins.pathExists ./x/secret then builtins.readFile ./x/secret else "nothing"'
    await writeFile(join(repository.dir, 'flake.nix'), flakeOf(`\${${shown}}`))
    await writeFile(join(repository.dir, '.gitmodules'), settings)
    await repository.git('add', 'flake.nix', '.gitmodules')
    await repository.git('commit', '--quiet', '--allow-empty', '--message=x')
    await repository.git('branch', branch)
    await repository.git('update-server-info')
    const flake = `git+${host.origin}/with-submodules/.git?ref=${branch}`
    expect(await read(flake), lines).toBe('nothing')
    if (lines === honest) expect(await read(`${flake}&submodules=1`)).toBe('secret')
    else
      await expect(read(`${flake}&submodules=1`), lines).rejects.toMatchObject({
        code: expect.stringMatching(/^(?:FetchFailed|FlakeNotFound)$/),
      })
  }
  expect(await traces()).toBe('')
})

test('a host of a flake gets only the login that the configured netrc has for it', async () => {
  const repository = await makeRepository(bed, 'private')
  await repository.commit({ 'flake.nix': flakeOf('private') })
  await repository.git('update-server-info')
  const netrc = join(bed.dir, 'netrc')
  await writeFile(netrc, 'machine 127.0.0.1 login builder password right\n', { mode: 0o600 })
  await using own = startBuilder(bed, { nix: { credentials: { netrc } } })
  const login = `Basic ${Buffer.from('builder:right').toString('base64')}`
  host.demand(login)
  const build = (origin: string) => own.build(recipeOf(`git+${origin}/private/.git?ref=main`, 'app'))
  await expect(build(host.origin.replace('127.0.0.1', 'localhost'))).rejects.toMatchObject({ code: 'FlakeNotFound' })
  expect(host.logins()).toEqual([])
  await expect(build(host.origin)).resolves.toBeDefined()
  expect(host.logins()).toContain(login)
})

interface Host extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string
  /** The files of the folder that are served at that path, in this order. The last one is served for all further requests. */
  answer(path: string, files: readonly string[]): void
  /** From now on, rejects requests without this header `Authorization`. */
  demand(login: string): void
  /** All such headers so far. */
  logins(): readonly string[]
}

/** Serves the files of a folder. */
async function startHost(dir: string): Promise<Host> {
  const answers = new Map<string, string[]>()
  const logins: string[] = []
  let demanded: string | undefined
  const server = createServer(async (request, response) => {
    const { authorization } = request.headers
    if (authorization !== undefined) logins.push(authorization)
    if (authorization !== demanded) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
      return
    }
    const [path = '/'] = (request.url ?? '/').split('?')
    const queue = answers.get(path)
    const file = (queue && queue.length > 1 ? queue.shift() : queue?.[0]) ?? path
    const bytes = await readFile(join(dir, normalize(`/${file}`))).catch(() => undefined)
    response.writeHead(bytes ? 200 : 404).end(bytes)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    origin: `http://127.0.0.1:${address.port}`,
    answer: (path, files) => void answers.set(path, [...files]),
    demand: login => {
      demanded = login
    },
    logins: () => logins,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
