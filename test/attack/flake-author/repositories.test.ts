import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import { gitAccess } from '../../../shim/nix/user/user-config.ts'

const run = promisify(execFile)
const PATH = process.env.PATH ?? ''

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'repositories-'))
  for (const name of ['app', 'app-secret', 'secret']) await run('git', ['init', '--quiet', '--bare', join(dir, name)])
})
afterAll(() => rm(dir, { recursive: true }))

/** Runs git as Nix does for the flake in the repository `app`. */
function ask(repository: string) {
  const flake = parseFlakeUrl(`git+file://${dir}/app`)
  const access = gitAccess({ image: 'registry.example/app:1', flake, packageName: 'app', system: 'x86_64-linux' })
  return run('git', ['ls-remote', `file://${dir}/${repository}`], { env: { PATH, ...access } })
}

test('a flake in a repository of this machine can read its own repository', async () => {
  await expect(ask('app')).resolves.toMatchObject({ stdout: '' })
})

test.each(['secret', 'app-secret', 'app/../secret', 'app/.', 'app/', './app'])(
  'a flake in the repository app cannot read %s beside it',
  async repository => {
    await expect(ask(repository)).rejects.toThrow(/denied/)
  },
)
