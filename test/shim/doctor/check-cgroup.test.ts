import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { checkCgroup, parseCgroup } from '../../../shim/doctor/check-cgroup.ts'
import { writeProcess } from './write-process.ts'

describe('the cgroup of a process is found in', () => {
  it.each([
    [
      '0::/system.slice/enbi-shim.service\n',
      { version: 'cgroup v2', root: '', path: '/system.slice/enbi-shim.service', file: 'memory.max' },
    ],
    [
      '4:memory:/a\n3:cpu,cpuacct:/b\n0::/\n',
      { version: 'cgroup v1', root: 'memory', path: '/a', file: 'memory.limit_in_bytes' },
    ],
    ['1:name=systemd:/a\n', undefined],
    ['', undefined],
  ])('%j', (text, place) => {
    expect(parseCgroup(text)).toEqual(place)
  })
})

describe('the memory of the shim', () => {
  const check = async (limits: Readonly<Record<string, string>>) => {
    const dir = await mkdtemp(join(tmpdir(), 'enbi-doctor-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    const serve = ['node', '/opt/dist/shim/main.js', 'serve', '--config', '/x']
    await writeProcess(join(dir, 'proc'), { pid: 9, args: serve })
    await writeFile(join(dir, 'proc/9/cgroup'), '0::/system.slice/enbi-shim.service\n')
    for (const [folder, limit] of Object.entries(limits)) {
      await mkdir(join(dir, 'cgroup', folder), { recursive: true })
      await writeFile(join(dir, 'cgroup', folder, 'memory.max'), `${limit}\n`)
    }
    return checkCgroup(join(dir, 'proc'), join(dir, 'cgroup')).look(AbortSignal.timeout(60_000))
  }

  it.each([
    ['is not limited', { 'system.slice/enbi-shim.service': 'max', 'system.slice': 'max' }, 'ok'],
    ['is limited to enough', { 'system.slice/enbi-shim.service': '4294967296' }, 'ok'],
    ['is limited to little', { 'system.slice/enbi-shim.service': '268435456' }, 'warning'],
    ['is limited above it', { 'system.slice/enbi-shim.service': 'max', 'system.slice': '268435456' }, 'warning'],
  ])('%s', async (_what, limits, outcome) => {
    expect(await check(limits)).toMatchObject({ outcome })
  })
})
