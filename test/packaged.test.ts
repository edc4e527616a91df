import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { execa } from 'execa'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installPacked, packProject } from './pack.ts'

const TOP = join(import.meta.dirname, '..')
const OLDER = "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })"
let dir: string
let archive: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'enbi-packed-'))
  archive = await packProject(dir)
  await installPacked(archive, join(dir, 'prefix'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** That it serves, builds and imports is shown where systemd runs it: test/systemd. */
describe('what npm packs', () => {
  it('is what is needed to run it, and nothing else', async () => {
    const { stdout } = await execa('tar', ['-tzf', archive])
    const files = stdout.split('\n').map(file => file.replace(/^package\//, ''))
    const isCode = (file: string) => /^dist\/(?:(?:shim|controller)\/[^/]+\.js|kubectl\/main\.cjs)$/.test(file)
    expect(files.filter(file => !isCode(file)).toSorted()).toEqual(
      [
        'CHANGELOG.md',
        'CONTRIBUTING.md',
        'LICENSE',
        'README.md',
        'package.json',
        ...(await listed('deploy/monitoring')),
        ...(await listed('deploy/systemd')),
        ...(await listed('docs')),
        ...(await listed('protos')).filter(path => path.endsWith('.proto')),
      ].toSorted(),
    )
    const programs = ['main', 'import-helper', 'linking-probe', 'tar-thread', 'link-thread']
    expect(files).toEqual(expect.arrayContaining(programs.map(name => `dist/shim/${name}.js`)))
    expect(files).toContain('dist/kubectl/main.cjs')
  })

  it('wants no other package', async () => {
    const { stdout } = await execa('tar', ['-xzOf', archive, 'package/package.json'])
    const manifest = v.parse(v.record(v.string(), v.unknown()), JSON.parse(stdout))
    expect(Object.keys(manifest).filter(key => /dependencies|scripts/i.test(key))).toEqual([])
    expect(await readdir(join(dir, 'prefix/lib/node_modules'))).toEqual(['enbi-shim'])
    expect(await readdir(join(dir, 'prefix/lib/node_modules/enbi-shim'))).not.toContain('node_modules')
  })

  it('leaves the package.json of the checkout as it was', async () => {
    const [before, after] = await Promise.all([TOP, join(dir, 'checkout')].map(readManifest))
    expect(after).toBe(before)
  })

  it.each([
    ['enbi-shim', 'enbi-shim'],
    ['enbi-controller', 'enbi-controller'],
    ['kubectl-nixbuild', 'kubectl nixbuild'],
  ])('is installed as a program that runs: %s', async (name, usage) => {
    expect((await run(name, '--version')).stdout).toMatch(/^\d+\.\d+\.\d+$/)
    expect((await run(name, '--help')).stdout).toContain(`Usage: ${usage}`)
  })

  it.each([
    ['enbi-shim', 'doctor'],
    ['enbi-shim', 'serve', '--config', '/none'],
    ['enbi-shim', 'status'],
    ['enbi-shim', '--version'],
    ['enbi-controller', '--help'],
    ['kubectl-nixbuild', 'prepull', '--help'],
  ])('says in one line that an older Node does not do: %s %s', async (name, ...args) => {
    const asked = await execa(join(dir, 'prefix/bin', name), args, {
      ...{ cwd: '/', preferLocal: true, localDir: TOP, reject: false },
      env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(OLDER)}` },
    })
    expect(asked).toMatchObject({ exitCode: 1, stdout: '' })
    expect(asked.stderr).toMatch(new RegExp(`^${name} needs Node [\\d.]+ or newer, and \\S+ is 20\\.20\\.2: .*$`))
  })

  it('imports nothing that an older Node may not have before it has looked at its version', async () => {
    for (const part of ['shim', 'controller']) {
      const folder = join(dir, 'prefix/lib/node_modules/enbi-shim/dist', part)
      expect(await importsOf(folder, './main.js')).toEqual(['node:module'])
    }
  })

  it('checks a config, that of deploy/systemd among them', async () => {
    const config = join(dir, 'prefix/lib/node_modules/enbi-shim/deploy/systemd/config.yaml')
    expect((await run('enbi-shim', 'check-config', config)).stdout).toContain('registry.example/team/*')
    const wrong = join(dir, 'wrong.yaml')
    await writeFile(wrong, 'polcy: []\n')
    await expect(run('enbi-shim', 'check-config', wrong)).rejects.toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('did you mean policy?'),
    })
  })
})

/** Far from the checkout: nothing of it can be found by accident. */
function run(program: string, ...args: string[]) {
  return execa(join(dir, 'prefix/bin', program), args, { cwd: '/', preferLocal: true, localDir: TOP })
}

/** What is not of the bundle among all that is imported before the first line runs. */
async function importsOf(folder: string, file: string): Promise<string[]> {
  const text = await readFile(join(folder, file), 'utf8')
  const names = [...text.matchAll(/^(?:import|export)\b[^'";]*['"](?<from>[^'"]+)['"]/gm)]
  const all = names.map(async ({ groups: { from = '' } = {} }) =>
    from.startsWith('./') ? importsOf(folder, from) : [from],
  )
  return [...new Set((await Promise.all(all)).flat())]
}

async function listed(folder: string): Promise<string[]> {
  const entries = await readdir(join(TOP, folder), { recursive: true, withFileTypes: true })
  return entries.filter(entry => entry.isFile()).map(({ parentPath, name }) => relative(TOP, join(parentPath, name)))
}

function readManifest(folder: string): Promise<string> {
  return readFile(join(folder, 'package.json'), 'utf8')
}
