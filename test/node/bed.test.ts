import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test, vi } from 'vitest'
import { PATIENT } from '../patience.ts'
import { type Bed, startBed } from './bed.ts'
import { addGate, copyExample, lockExample } from './example.ts'
import { expectNoTrace } from './no-trace.ts'

test('an unprivileged user of a bed builds through the daemon, and containerd runs the image', async () => {
  await using bed = await startBed()
  await buildAndImport(bed, 'docker-archive')
  const image = await bed.cri().waitForImage('docker.io/library/formats:1')
  expect(await bed.runPod({ imageId: image.id })).toEqual({ output: 'hello from a Nix-built image\n', exitCode: 0 })
})

test('runPod returns the output and the exit code of the container', async () => {
  await using bed = await startBed()
  await buildAndImport(bed, 'docker-archive')
  await bed.cri().waitForImage('docker.io/library/formats:1')
  const command = ['/bin/busybox', 'sh', '-c', 'echo one; echo two; exit 3']
  expect(await bed.runPod({ imageId: 'docker.io/library/formats:1', command })).toEqual({
    output: 'one\ntwo\n',
    exitCode: 3,
  })
})

test('the build user of a bed without a daemon owns the store', async () => {
  await using bed = await startBed({ daemon: false, without: ['containerd'] })
  const example = await copyExample('formats', bed.dir)
  await bed.run('nix', ['build', '--no-link', `${example.url}#stream`], { user: bed.buildUser })
  expect((await bed.run('ls', ['/nix/store'])).stdout).toContain('stream-image')
})

test('two beds run concurrently, each with its own store', async () => {
  await using one = await startBed({ without: ['containerd'] })
  await using two = await startBed({ without: ['containerd'] })
  await one.run('touch', ['/nix/one', '/run/one'])
  expect((await two.run('ls', ['/nix', '/run'])).stdout).not.toContain('one')
})

test('the daemons of a bed can be stopped, killed and restarted', async () => {
  await using bed = await startBed()
  const first = bed.containerd.pid
  await bed.containerd.restart()
  expect(bed.containerd.pid).not.toBe(first)
  await bed.containerd.kill()
  expect(bed.containerd.pid).toBeUndefined()
  await bed.containerd.start()
  expect(await bed.cri().listImages()).toEqual([])
  expect(await bed.nixDaemon.stop()).toBe(0)
  await bed.nixDaemon.start()
  expect((await bed.run('nix', ['store', 'ping'])).stderr).toContain('daemon')
})

test('killing the nix-daemon of a bed ends the build that it serves', async () => {
  await using bed = await startBed({ without: ['containerd'] })
  const example = await copyExample('formats', bed.dir)
  await addGate(example)
  const build = bed.run('nix', ['build', '--no-link', '-L', `${example.url}#gated`], { reject: false })
  await vi.waitFor(async () => expect(await processesOf(bed)).toContain('nix-build'), PATIENT)
  await bed.nixDaemon.kill()
  expect((await build).exitCode).toBe(1)
  await vi.waitFor(async () => expect(await processesOf(bed)).not.toContain('busybox'), PATIENT)
})

test('a locked example keeps its hash', async () => {
  await using bed = await startBed({ without: ['containerd'] })
  const example = await lockExample(await copyExample('formats', bed.dir), bed.run)
  await bed.run('nix', ['build', '--no-link', `${example.url}#stream`], { user: bed.buildUser })
})

test('a bed leaves nothing behind', async () => {
  const bed = await startBed()
  await buildAndImport(bed, 'docker-archive')
  const image = await bed.cri().waitForImage('docker.io/library/formats:1')
  await bed.runPod({ imageId: image.id })
  await bed[Symbol.asyncDispose]()
  expectNoTrace(bed.dir)
})

test('a bed leaves nothing behind if one of its programs is stopped', async () => {
  const bed = await startBed({ without: ['nix'] })
  const { pid = 0 } = bed.containerd
  process.kill(pid, 'SIGSTOP')
  // nsenter stops together with its child, and is outside the bed's process namespace.
  await vi.waitFor(async () => expect(await stateOf(await parentOf(pid))).toBe('T'), PATIENT)
  await bed[Symbol.asyncDispose]()
  expectNoTrace(bed.dir)
})

test('a bed leaves nothing behind if its owner is killed', async () => {
  const owner = spawn(process.execPath, [join(import.meta.dirname, 'hold-bed.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const dir = await firstLine(owner.stdout)
  expect(existsSync(dir)).toBe(true)
  owner.kill('SIGKILL')
  await vi.waitFor(() => expectNoTrace(dir), PATIENT)
})

async function buildAndImport(bed: Bed, packageName: string): Promise<void> {
  const example = await copyExample('formats', bed.dir)
  const result = join(bed.dir, 'result')
  await bed.run('nix', ['build', '--no-link', `${example.url}#${packageName}`], { user: bed.buildUser })
  await bed.run('nix', ['build', '--out-link', result, `${example.url}#${packageName}`])
  await bed.run('ctr', ['--address', bed.containerdSocket, '--namespace', 'k8s.io', 'images', 'import', result])
}

/** The command lines of the processes inside. */
async function processesOf(bed: Bed): Promise<string> {
  return (await bed.run('sh', ['-c', 'cat /proc/[0-9]*/cmdline; ls -l /proc/[0-9]*/cwd'])).stdout
}

async function firstLine(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface(output)) return line
  throw new Error('it ended')
}

/** The state and the parent's process number from /proc/PID/stat. */
async function statOf(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

async function stateOf(pid: number): Promise<string | undefined> {
  return (await statOf(pid))[0]
}

async function parentOf(pid: number): Promise<number> {
  return Number((await statOf(pid))[1])
}
