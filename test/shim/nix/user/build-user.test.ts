import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { resolveBuildUser } from '../../../../shim/nix/user/build-user.ts'
import { findUser } from '../../../node/user.ts'

const OPTIONS = { name: 'nobody', home: '/var/lib/x/home', configHome: '/var/lib/x/config', env: {} }

afterEach(() => vi.unstubAllEnvs())

test('the program that looks up the build user is not taken from our PATH', async () => {
  const { uid, gid } = await findUser('nobody')
  await using dir = await mkdtempDisposable(join(tmpdir(), 'build-user-'))
  await writeFile(join(dir.path, 'id'), '#!/bin/sh\necho 4242\n', { mode: 0o755 })
  vi.stubEnv('PATH', `${dir.path}:${process.env.PATH}`)
  expect(await resolveBuildUser(OPTIONS)).toMatchObject({ uid, gid })
})
