import { chmod, copyFile, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { BUSYBOX } from '../../node/programs.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'

const FLAKE = join(import.meta.dirname, 'programs')
/** A separate store, which one program can fill. */
const STORE_SIZE = '160m'

describe.each([
  { how: 'with a daemon', daemon: true },
  { how: 'without a daemon', daemon: false },
])('on a node $how, a package that is a program which', ({ daemon }) => {
  let bed: Bed
  let shim: Shim
  let flakeUrl: string
  let open: string
  beforeAll(async () => {
    bed = await startBed({ daemon, without: ['nix'], nixSettings: { sandbox: 'true' } })
    await bed.run('mount', ['-t', 'tmpfs', '-o', `size=${STORE_SIZE}`, 'tmpfs', '/nix'])
    if (daemon) await bed.nixDaemon.start()
    else await bed.run('chown', [`${bed.buildUser.uid}`, '/nix'])
    open = join(bed.dir, 'open')
    await mkdir(open)
    await chmod(open, 0o777)
    await writeFile(join(open, 'linger'), '')
    flakeUrl = await copyFlake(bed, open)
    shim = await bed.startShim()
  })
  afterAll(async () => bed?.[Symbol.asyncDispose]())

  const pull = (packageName: string, by = shim) => {
    const image = `registry.example/programs/${packageName}:1`
    return bed.cri(by.socket).pullImage(recipePull({ image, flakeUrl, packageName }))
  }
  const failureOf = async (packageName: string, by = shim): Promise<string> => {
    const pulled = await pull(packageName, by).then(
      id => `pulled ${id}`,
      error => error.details,
    )
    return String(pulled)
  }
  const processesOf = async (text: string) => {
    const { stdout } = await bed.run('ps', ['-eo', 'args'])
    return stdout.split('\n').filter(line => line.startsWith('/nix/store/') && line.includes(text))
  }

  it("looks around sees neither the node's files and network nor the shim's environment", async () => {
    const said = await failureOf('looks-around')
    expect(said).toMatch(/the package is a program .* failed with exit code 3/)
    expect(said).toContain('looked around')
    expect(said).not.toMatch(/^sees /m)
    expect(said).toContain('devices and two lines: 3')
    expect(said).not.toMatch(/NIX_REMOTE|NIX_CONF_DIR|NOTIFY_SOCKET/)
  })

  it('writes outside its output changes nothing', async () => {
    await expect(pull('writes-about')).resolves.toMatch(/^sha256:/)
    expect(await readdir(open)).toEqual(['linger'])
    for (const path of ['/nix/store/written', '/nix/var/written'])
      expect(await bed.run('test', ['-e', path], { reject: false })).toMatchObject({ exitCode: 1 })
    const { stdout, stderr } = await bed.run('nix', ['store', 'verify', '--all', '--no-trust'], { user: bed.buildUser })
    expect(stdout + stderr).not.toMatch(/modified/)
  })

  it('never ends, or writes very slowly, is ended after nix.timeout like any build and leaves nothing behind', async () => {
    const hasty = await bed.startShim({ config: { nix: { user: bed.buildUser.name, timeout: '4s' } } })
    const said = await Promise.all(['never-ends', 'dribbles'].map(name => failureOf(name, hasty)))
    const late = expect.stringMatching(/took longer than|timed out/)
    expect(said).toEqual([late, late])
    await expect.poll(() => processesOf('-never-ends'), PATIENT).toEqual([])
    await expect.poll(() => processesOf('-dribbles'), PATIENT).toEqual([])
  })

  it('forks into the background ends together with its children', async () => {
    await expect(pull('forks-away')).resolves.toMatch(/^sha256:/)
    expect(await processesOf('/linger')).toEqual([])
  })

  it('fills the disk fails as a build, and its room is freed', async () => {
    expect(await failureOf('fills-the-disk')).toMatch(/No space left on device|failed with exit code 1/)
    await expect(pull('honest')).resolves.toMatch(/^sha256:/)
  })

  it('leaves a link in place of its output is rejected as no archive', async () => {
    expect(await failureOf('goes-elsewhere')).toContain('what it writes is not an image archive')
  })

  it('needs an interpreter of the node does not find one', async () => {
    expect(await failureOf('bare')).toContain('its interpreter "/bin/sh" is not a program of the package')
  })

  it('writes an archive keeps it in the store only until the import ends', async () => {
    const { stdout } = await bed.run('nix-store', ['--gc', '--print-roots'], { user: bed.buildUser })
    expect(stdout).not.toContain('-archive')
    const logs = await readdir(join(shim.stateDir, 'logs'))
    const texts = await Promise.all(logs.map(name => readFile(join(shim.stateDir, 'logs', name), 'utf8')))
    expect(texts.join('')).toContain('looks-around-archive> looked around')
  })
})

async function copyFlake(bed: Bed, open: string): Promise<string> {
  const dir = join(bed.dir, 'programs')
  await cp(FLAKE, dir, { recursive: true })
  await copyFile(BUSYBOX, join(dir, 'busybox'))
  await chmod(join(dir, 'busybox'), 0o755)
  await writeFile(join(dir, 'node'), open)
  return `path:${dir}`
}
