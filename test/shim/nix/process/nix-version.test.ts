import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createVersionQuery } from '../../../../shim/nix/process/nix-version.ts'

async function makeFolder() {
  const dir = await mkdtemp(join(tmpdir(), 'nix-version-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const install = async (words: string) => {
    const script = `#!/bin/sh\necho asked >>${dir}/log\necho '${words}'\n`
    await writeFile(join(dir, 'new'), script, { mode: 0o755 })
    await rename(join(dir, 'new'), join(dir, 'nix'))
  }
  const timesAsked = async () => (await readFile(join(dir, 'log'), 'utf8')).split('asked').length - 1
  return { user: { home: dir, env: { PATH: `/nowhere:${dir}:/usr/bin:/bin` } }, install, timesAsked }
}

test('the version of Nix is read once, and again after another one is installed', async () => {
  const { user, install, timesAsked } = await makeFolder()
  const version = createVersionQuery({ command: 'nix', user })
  expect(await version()).toBe('')
  await install('nix (Nix) 2.8.0')
  expect(await Promise.all([version(), version()])).toEqual(['2.8.0', '2.8.0'])
  expect(await version()).toBe('2.8.0')
  expect(await timesAsked()).toBe(1)
  await install('nix (Nix) 2.34.8')
  expect(await version()).toBe('2.34.8')
  expect(await timesAsked()).toBe(2)
})
