import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { shimEnvironment } from '../../../../shim/doctor/probes/processes.ts'
import { type WrittenProcess, writeProcess } from '../write-process.ts'
import '../../../lanes/needs-root.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'enbi-processes-'))
})
afterEach(() => rm(dir, { recursive: true }))

const NOBODY = 65534
const serve = ['/opt/bin/enbi-shim', 'serve']

/** Each before the shim by its number. */
const write = (pid: number, path: string, changes: Partial<WrittenProcess> = {}) =>
  writeProcess(join(dir, 'proc'), { pid, args: serve, env: { PATH: path, HOME: '/' }, ...changes })
const read = () => shimEnvironment(join(dir, 'proc'))

describe('the environment of the shim', () => {
  it('is that of its process: PATH and what is for Nix', async () => {
    await write(9, '/right', { env: { PATH: '/right', NIX_REMOTE: 'daemon', HOME: '/' } })
    expect(await read()).toEqual({ PATH: '/right', NIX_REMOTE: 'daemon' })
  })

  it.each<[string, (setuid: string) => Partial<WrittenProcess>]>([
    ['another user', () => ({ uid: NOBODY })],
    ['root in a container', () => ({ pidNamespace: 'pid:[4026532999]' })],
    ['a setuid program that anybody may start', setuid => ({ program: setuid })],
  ])('is never that of %s', async (_who, changes) => {
    const setuid = join(dir, 'setuid')
    await writeFile(setuid, '')
    await chmod(setuid, 0o4755)
    await write(1, '/evil', changes(setuid))
    expect(await read()).toEqual({})
    await write(9, '/right')
    expect(await read()).toEqual({ PATH: '/right' })
  })
})
