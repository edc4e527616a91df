import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { PATIENT } from '../patience.ts'

const MANIFEST = join(import.meta.dirname, '../../deploy/components/token/daemonset.yaml')
const [container] = v.parse(
  v.object({
    spec: v.object({
      template: v.object({
        spec: v.object({ containers: v.tuple([v.object({ command: v.tuple([v.string(), v.string(), v.string()]) })]) }),
      }),
    }),
  }),
  parse(await readFile(MANIFEST, 'utf8')),
).spec.template.spec.containers

let dir: string
let copier: ReturnType<typeof spawn>
const onNode = (name: string) => join(dir, 'node', name)
const read = (name: string) => readFile(onNode(name), 'utf8').catch(() => undefined)

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'token-'))
  await Promise.all(['pod', 'node', 'state'].map(name => mkdir(join(dir, name))))
  for (const name of ['token', 'ca.crt']) await symlink(`..data/${name}`, join(dir, 'pod', name))
  await project({ token: 'first', 'ca.crt': 'a certificate' })
})

afterEach(async () => {
  copier.kill('SIGKILL')
  await rm(dir, { recursive: true })
})

describe('the script of the DaemonSet enbi-token', () => {
  it('copies the token and the CA, which only their owner can read', async () => {
    start()
    await expect.poll(() => read('token'), PATIENT).toBe('first')
    expect(await read('ca.crt')).toBe('a certificate')
    for (const name of ['token', 'ca.crt']) expect((await stat(onNode(name))).mode & 0o777).toBe(0o600)
    expect(await readdir(join(dir, 'node'))).toEqual(['ca.crt', 'token'])
    await expect.poll(() => readdir(join(dir, 'state')), PATIENT).toEqual(['copied'])
  })

  it('replaces the file when the kubelet has renewed the token, instead of writing into it', async () => {
    start()
    await expect.poll(() => read('token'), PATIENT).toBe('first')
    const { ino } = await stat(onNode('token'))
    await project({ token: 'second', 'ca.crt': 'a certificate' })
    await expect.poll(() => read('token'), PATIENT).toBe('second')
    expect((await stat(onNode('token'))).ino).not.toBe(ino)
  })

  it('replaces a token that another pod wrote, and what a killed one left', async () => {
    await writeFile(onNode('token'), 'of a pod that is gone')
    await writeFile(onNode('token.new.AbCdEf'), 'unfini')
    start()
    await expect.poll(() => read('token'), PATIENT).toBe('first')
    await writeFile(onNode('token'), 'of the pod before')
    await expect.poll(() => read('token'), PATIENT).toBe('first')
    await rm(onNode('token'))
    await expect.poll(() => read('token'), PATIENT).toBe('first')
    expect(await readdir(join(dir, 'node'))).toEqual(['ca.crt', 'token'])
  })

  it('ends on SIGTERM', async () => {
    start()
    await expect.poll(() => read('token'), PATIENT).toBe('first')
    copier.kill('SIGTERM')
    expect(await once(copier, 'exit')).toEqual([0, null])
  })

  it('fails if it cannot write', async () => {
    await rm(join(dir, 'node'), { recursive: true })
    start()
    const [code] = await once(copier, 'exit')
    expect(code).toBeGreaterThan(0)
    expect(await readdir(join(dir, 'state'))).toEqual([])
  })
})

function start(): void {
  const [shell, flags, script] = container.command
  const here = script.replaceAll(/\/(?=(?:pod|node|state)\/)/g, `${dir}/`).replace('sleep 5', 'sleep 0.05')
  copier = spawn(shell, [flags, here], { stdio: 'ignore' })
}

/** Replaces the files of a projected volume as the kubelet does: in a new folder, to which it then moves a link. */
async function project(files: Readonly<Record<string, string>>): Promise<void> {
  const pod = join(dir, 'pod')
  const before = (await readdir(pod)).filter(name => name.startsWith('..2'))
  const folder = `..2026_11_28_00_00_0${before.length}.1`
  await mkdir(join(pod, folder))
  for (const [name, content] of Object.entries(files)) await writeFile(join(pod, folder, name), content)
  await symlink(folder, join(pod, '..data_tmp'))
  await rename(join(pod, '..data_tmp'), join(pod, '..data'))
  for (const name of before) await rm(join(pod, name), { recursive: true })
}
