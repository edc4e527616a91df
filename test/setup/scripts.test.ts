import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, it } from 'vitest'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'enbi-scripts-'))
  for (const folder of ['installed', 'machine']) await mkdir(join(dir, folder))
  await writeProgram('machine/npm', 'exit 0')
  // The set-up installs a newer Node, which must be found before the machine's own.
  const installed = join(dir, 'installed')
  const copies = ['node', 'vitest'].map(name => `printf '#!/bin/sh\\necho $$ "$@"\\n' >${installed}/${name}`)
  await writeProgram('machine/node', [...copies, `chmod +x ${installed}/*`].join('\n'))
})
afterAll(() => rm(dir, { recursive: true }))

function writeProgram(name: string, script: string): Promise<void> {
  return writeFile(join(dir, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
}

async function scriptOf(name: string): Promise<string> {
  return JSON.parse(await readFile(join(import.meta.dirname, '../../package.json'), 'utf8')).scripts[name]
}

it.each([
  ['demo', 'test/node/demo.ts'],
  ['demo:cluster', 'test/cluster/demo.ts'],
  ['test', 'run'],
  ['test:unit', 'run --project unit'],
  ['fuzz', 'run test/fuzz'],
  ['bench', 'bench/main.ts'],
  ['conformance', 'conformance/main.ts'],
])(
  'npm run %s uses the Node that its set-up installed, and replaces its shell so that it receives the signals of npm',
  async (name, args) => {
    for (const file of ['node', 'vitest']) await rm(join(dir, 'installed', file), { force: true })
    const PATH = ['installed', 'machine'].map(folder => join(dir, folder)).join(':')
    const shell = execa('/bin/sh', ['-c', await scriptOf(name)], { env: { PATH: `${PATH}:/usr/bin:/bin` } })
    expect((await shell).stdout).toBe(`${shell.pid} ${args}`)
  },
)

it.each(['demo:cluster', 'test', 'fuzz', 'bench'])(
  'npm run %s sets up the programs of the test cluster',
  async name => {
    expect(await scriptOf(name)).toContain('setup.mjs --cluster &&')
  },
)

it('npm run test:spegel says how to get Spegel when it has none', async () => {
  const script = join(import.meta.dirname, '../spegel/run.sh')
  const { exitCode, stderr } = await execa('sh', [script], { env: { SPEGEL: '/none' }, reject: false })
  expect(exitCode).toBe(2)
  expect(stderr).toMatch(/git clone .*v0\.7\.4.*spegel/)
  expect(stderr).toContain('SPEGEL=/tmp/spegel/spegel npm run test:spegel')
})
