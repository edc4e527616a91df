import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { copyExample, type Example } from '../../node/example.ts'
import { SHIM_MAIN } from '../../node/own-programs.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'
import { enbiShim } from './enbi-shim.ts'
import { startOnTerminal, startProgram } from './terminal.ts'

const CTRL_C = '\x03'
const CURSOR_IS_BACK = '\x1b[?25h'
let bed: Bed
let shim: Shim
let formats: Example

beforeAll(async () => {
  bed = await startBed()
  shim = await bed.startShim()
  formats = await copyExample('formats', bed.dir)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

const run = (...args: string[]) => enbiShim(bed, args)

function status(...more: string[]) {
  return run('status', '--socket', shim.socket, ...more)
}

function command(socket: string, ...more: string[]): string[] {
  return [process.execPath, SHIM_MAIN, 'status', '--watch', '--socket', socket, ...more]
}

function watch(socket: string, ...more: string[]) {
  return startProgram(command(socket, ...more))
}

function pull(image: string, packageName: string) {
  return bed.cri(shim.socket).pullImage(recipePull({ image, packageName, flakeUrl: formats.url }))
}

describe('enbi-shim status', () => {
  it('prints plain text', async () => {
    await pull('registry.example/plain:1', 'oci-archive')
    const { stdout, exitCode } = await status()
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^enbi-shim \d/)
    expect(stdout).toContain('no build or import is running')
    expect(stdout).toMatch(/registry\.example\/plain:1 +done/)
  })

  it('prints one JSON object with --json', async () => {
    const { stdout, exitCode } = await status('--json')
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ runs: [], queue: [], shim: { containerd: bed.containerdSocket } })
  })

  it('prints blocks with --watch on a terminal without a size', async () => {
    const { child, written } = startOnTerminal(command(shim.socket), { rows: 0, columns: 0 })
    await expect.poll(written, PATIENT).toContain('\r\nDisk\r\n')
    child.stdin.write(CTRL_C)
    expect(await child).toMatchObject({ exitCode: 0 })
  })

  it('prints blocks with --watch without a terminal, and exits with 0 on Ctrl-C', async () => {
    const { child, written } = watch(shim.socket)
    await expect.poll(written, PATIENT).toContain('Disk')
    expect(written()).not.toContain('registry.example/watched:1')
    await pull('registry.example/watched:1', 'docker-archive')
    await expect.poll(written, PATIENT).toMatch(/registry\.example\/watched:1 +done/)
    child.kill('SIGINT')
    expect(await child).toMatchObject({ exitCode: 0, stderr: '' })
  })

  it('prints one JSON object per line with --watch --json, and another when an image is removed', async () => {
    const image = 'registry.example/removed:1'
    await pull(image, 'stream')
    const { child, written } = watch(shim.socket, '--json')
    const reports = () =>
      written()
        .split('\n')
        .slice(0, -1)
        .map(line => JSON.parse(line))
    const isKept = () => JSON.stringify(reports().at(-1)?.images).includes(image)
    await expect.poll(() => reports().length > 0 && isKept(), PATIENT).toBe(true)
    await bed.cri(shim.socket).removeImage(image)
    await expect.poll(isKept, PATIENT).toBe(false)
    child.kill('SIGINT')
    expect(await child).toMatchObject({ exitCode: 0 })
  })

  it('exits with 0 when its reader closes the pipe', async () => {
    const { child, written } = watch(shim.socket)
    await expect.poll(written, PATIENT).toContain('Disk')
    child.stdout.destroy()
    await pull('registry.example/unread:1', 'docker-archive')
    expect(await child).toMatchObject({ exitCode: 0, stderr: '' })
  })

  it('fails with exit code 3 when no shim answers', async () => {
    expect(await run('status', '--socket', '/no/where')).toMatchObject({
      stderr: expect.stringContaining('/no/where'),
      exitCode: 3,
    })
  })

  it('fails with exit code 3 at a socket of another server, or of an older shim', async () => {
    expect(await run('status', '--socket', bed.containerdSocket)).toMatchObject({
      stderr: expect.stringContaining('older'),
      exitCode: 3,
    })
  })

  it('does not delay the end of the shim', async () => {
    const own = await bed.startShim({ config: { shutdownTimeout: '1h' } })
    const { child, written } = watch(own.socket)
    await expect.poll(written, PATIENT).toContain('Disk')
    expect(await own.daemon.stop()).toBe(0)
    expect(await child).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('has stopped') })
  })
})

describe('enbi-shim status on a terminal', () => {
  it('redraws in place with --watch until Ctrl-C', async () => {
    const { child, written } = startOnTerminal(command(shim.socket))
    await expect.poll(written, PATIENT).toContain('Disk')
    await pull('registry.example/live:1', 'docker-archive-gzip')
    await expect.poll(written, PATIENT).toMatch(/registry\.example\/live:1 +done/)
    child.stdin.write(CTRL_C)
    expect(await child).toMatchObject({ exitCode: 0 })
    expect(written()).toContain(CURSOR_IS_BACK)
  })
})
