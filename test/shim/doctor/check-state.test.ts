import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseConfig } from '../../../shim/config/config.ts'
import { checkState } from '../../../shim/doctor/check-state.ts'
import '../../lanes/needs-root.ts'

const signal = AbortSignal.timeout(60_000)

describe('the state folder', () => {
  it('is reported with the size of source clones', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'enbi-doctor-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    const clone = { name: 'a', owners: ['team'], bytes: 3 * 1024 ** 2, usedAt: 1 }
    await writeFile(join(dir, 'caches.json'), JSON.stringify([clone, { ...clone, name: 'b' }]))
    const { nix } = parseConfig('nix: { user: null }', 'config.yaml')
    const found = await checkState({ stateDir: dir, nix }).look(signal)
    expect(found).toMatchObject({
      outcome: 'ok',
      text: expect.stringMatching(/; clones of sources take 6\.\d MB of at most \d/),
    })
  })

  it('is reported if others can write to its settings', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'enbi-doctor-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    const ssh = join(dir, 'build-home/.ssh')
    await mkdir(ssh, { recursive: true })
    await chmod(ssh, 0o777)
    const { nix } = parseConfig('nix: { user: null }', 'config.yaml')
    expect(await checkState({ stateDir: dir, nix }).look(signal)).toEqual({
      outcome: 'failed',
      text: `${ssh} can be written to by other users (mode 777)`,
      wayOut: `run chmod go-w ${ssh}`,
    })
  })

  it('is fine if it can be created', async () => {
    const { nix } = parseConfig('nix: { user: null }', 'config.yaml')
    expect(await checkState({ stateDir: '/none/state', nix }).look(signal)).toEqual({
      outcome: 'ok',
      text: '/none/state does not exist yet: the first build creates it',
    })
  })
})
