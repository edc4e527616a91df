import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findContainerdConfig } from '../../../shim/doctor/containerd-config.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'containerd-config-'))
})
afterEach(() => rm(dir, { recursive: true }))

const ADDRESS = '/run/k3s/containerd/containerd.sock'
const OWN = `version = 3\n# discard_unpacked_layers = true\n[grpc]\n  address = "${ADDRESS}"\n`

async function write(name: string, text: string): Promise<string> {
  const file = join(dir, name)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
  return file
}

const run = (pid: number, ...args: string[]) => write(`proc/${pid}/cmdline`, args.map(arg => `${arg}\0`).join(''))
const find = (address = ADDRESS) => findContainerdConfig(join(dir, 'proc'), address)

describe("containerd's config", () => {
  it.each([
    ['--config FILE', (file: string) => ['--config', file]],
    ['--config=FILE', (file: string) => [`--config=${file}`]],
    ['-c FILE', (file: string) => ['-c', file]],
  ])('is found by %s, without its comments', async (_, args) => {
    const file = await write('config.toml', OWN)
    await run(1, '/usr/bin/containerd', ...args(file))
    expect(await find()).toEqual({ file, text: expect.not.stringContaining('discard') })
  })

  it('is that of the containerd with the address', async () => {
    await run(1, 'containerd', '-c', await write('other.toml', OWN.replace(ADDRESS, '/run/other.sock')))
    await run(2, 'containerd', '-c', await write('default.toml', 'version = 3\n'))
    const file = await write('right.toml', OWN)
    await run(3, 'containerd', '-c', file)
    expect(await find()).toMatchObject({ file })
    expect(await find('/run/containerd/containerd.sock')).toMatchObject({ file: join(dir, 'default.toml') })
    expect(await find('/run/none.sock')).toBeUndefined()
  })

  it.each([[['--address', ADDRESS]], [[`--address=${ADDRESS}`]], [['-a', ADDRESS]]])(
    'is that of the containerd with the address in its flags: %j',
    async flags => {
      const file = await write('config.toml', OWN.replace(ADDRESS, '/run/other.sock'))
      await run(1, 'containerd', '-c', file, ...flags)
      expect(await find()).toMatchObject({ file })
      expect(await find('/run/other.sock')).toBeUndefined()
    },
  )

  it('includes the files that it imports', async () => {
    await write('conf.d/a.toml', 'discard_unpacked_layers = true\n')
    await write('conf.d/b.txt', 'not = "imported"\n')
    await run(1, 'containerd', '-c', await write('config.toml', `imports = ['conf.d/*.toml', "/none.toml"]\n${OWN}`))
    const { text = '' } = (await find()) ?? {}
    expect(text).toContain('discard_unpacked_layers = true')
    expect(text).not.toContain('not =')
  })

  it('is unknown if it cannot be read or no containerd runs', async () => {
    await run(1, 'containerd', '-c', join(dir, 'none.toml'))
    await run(2, 'containerd', '-c', dir)
    await run(3, 'other', '-c', await write('config.toml', OWN))
    expect(await find()).toBeUndefined()
  })
})
