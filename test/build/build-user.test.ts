import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { resolveBuildUser } from '../../shim/build/build-user.ts'
import { findUser } from '../node/user.ts'

const OPTIONS = { name: 'nobody', home: '/var/lib/x/home', configHome: '/var/lib/x/config', env: {} }

afterEach(() => vi.unstubAllEnvs())

test('what root runs to find the build user is none of what our PATH leads to', async () => {
  const { uid, gid } = await findUser('nobody')
  await using dir = await mkdtempDisposable(join(tmpdir(), 'build-user-'))
  await writeFile(join(dir.path, 'id'), '#!/bin/sh\necho 4242\n', { mode: 0o755 })
  vi.stubEnv('PATH', `${dir.path}:${process.env.PATH}`)
  expect(await resolveBuildUser(OPTIONS)).toMatchObject({ uid, gid })
})

test('a program out of the store is told nothing of our environment', async () => {
  const env = {
    PATH: '/home/x/bin:/bin',
    HOME: '/root',
    NIX_CONFIG: 'access-tokens = github.com=hush',
    NIX_REMOTE: 'daemon',
    NIX_SSL_CERT_FILE: '/etc/certificates',
    https_proxy: 'http://x:hush@proxy.example:3128',
    LD_PRELOAD: '/hush.so',
    TMPDIR: '/hush',
  }
  const user = await resolveBuildUser({ ...OPTIONS, env })
  expect(user.env).toMatchObject({ NIX_CONFIG: env.NIX_CONFIG, https_proxy: env.https_proxy })
  expect(user.scriptEnv).toEqual({ PATH: expect.any(String), LANG: 'C.UTF-8', HOME: '/nonexistent' })
  expect(user.scriptEnv.PATH).not.toContain('/home/x/bin')
})
