import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { readConfig } from '../../shim/config/config.ts'
import { SHIM_MAIN } from '../node/own-programs.ts'
import { type CodeBlock, readGuides } from './code-blocks.ts'

const CONFIG = '/etc/enbi-shim/config.yaml'
/** Names of blocks that other tests take, by language: the unit, the module and the API server try them. */
const TESTS = {
  sh: [
    'install',
    'start',
    'kubelet',
    'verify',
    'upgrade',
    'unwire',
    'undo',
    'credentials',
    'by-hand',
    'token',
    'migrate',
  ],
  yaml: ['dry-run', 'kubeconfig', 'kubelet-configuration', 'component', 'values', 'tokens'],
  nix: ['nixos'],
  ini: ['drop-in', 'nix-conf', 'log-folder'],
  toml: ['containerd'],
} as const

const blocks = await readGuides()
let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'guides-'))
})
afterAll(() => rm(dir, { recursive: true }))

const ofLanguage = (language: string) => blocks.filter(block => block.language === language)
const configs = ofLanguage('yaml').filter(({ tested, untested }) => tested === undefined && untested === undefined)

describe('a code block of a how-to guide', () => {
  it.each(blocks)('at $place is tested, or says why not', ({ language, tested, untested }) => {
    if (untested !== undefined) return
    if (tested !== undefined) expect(Object.entries(TESTS).find(([key]) => key === language)?.[1]).toContain(tested)
    else expect(['sh', 'console', 'yaml', 'nix']).toContain(language)
  })

  it.each(ofLanguage('sh'))('at $place is a shell script', async ({ text }) => {
    await execa('sh', ['-n'], { input: text })
  })

  it.each(configs)('at $place is a config of the shim', async block => {
    await readConfig(await writeConfig(block))
  })

  it.each(ofLanguage('console'))('at $place prints what the program prints', async block => {
    const above = configs.filter(({ place }) => isAbove(place, block.place)).at(-1)
    const config = above ? await writeConfig(above) : CONFIG
    for (const { command, output } of commandsOf(block.text)) {
      const script = command.replace(/^enbi-shim /, '"$0" "$1" ').replace(CONFIG, config)
      const { stdout } = await execa('sh', ['-euc', script, process.execPath, SHIM_MAIN])
      expect(stdout).toBe(output)
    }
  })

  it('for the kubelet is what the units have', async () => {
    const deployed = await readFile(join(import.meta.dirname, '../../deploy/systemd/kubelet.conf'), 'utf8')
    expect(
      blocks.filter(({ tested }) => tested === 'kubelet-configuration').map(({ text }) => parse(text)),
    ).toContainEqual(parse(deployed))
  })

  it('for the log folder is what the units have', async () => {
    const deployed = await readFile(join(import.meta.dirname, '../../deploy/systemd/enbi-shim.service'), 'utf8')
    const [shown] = blocks.filter(({ tested }) => tested === 'log-folder')
    expect(deployed.split('\n')).toEqual(expect.arrayContaining(shown?.text.trim().split('\n') ?? ['shown']))
  })
})

async function writeConfig({ text, place }: CodeBlock): Promise<string> {
  const file = join(dir, `${place.replaceAll(/\W/g, '-')}.yaml`)
  await writeFile(file, text)
  return file
}

function isAbove(place: string, other: string): boolean {
  const [page, line] = place.split(':')
  const [otherPage, otherLine] = other.split(':')
  return page === otherPage && Number(line) < Number(otherLine)
}

function commandsOf(text: string): { command: string; output: string }[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map(part => {
      const [command = '', ...output] = part.trimEnd().split('\n')
      return { command, output: output.join('\n') }
    })
}
