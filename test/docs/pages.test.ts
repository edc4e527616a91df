import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { execa } from 'execa'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../shim/config/config.ts'
import { CONTROLLER_MAIN, KUBECTL_MAIN, SHIM_MAIN } from '../node/own-programs.ts'

const ROOT = join(import.meta.dirname, '../..')
const PAGES = [
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'README.md',
  ...(await readdir(join(ROOT, 'docs'), { recursive: true }))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
]
const TEXTS = new Map(
  await Promise.all(PAGES.map(async page => [page, await readFile(join(ROOT, page), 'utf8')] as const)),
)
const { files, scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))

describe.each(PAGES)('the page %s', page => {
  const text = TEXTS.get(page) ?? ''

  it('has only links to headings and files that exist and are in the package', () => {
    for (const [, link = ''] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [path = '', heading] = link.split('#')
      const file = path === '' ? page : normalize(join(dirname(page), path))
      expect(existsSync(join(ROOT, file)), `${file} is not there`).toBe(true)
      expect(
        files.some((packed: string) => file === packed || file.startsWith(`${packed}/`)),
        `${file} is not packed`,
      ).toBe(true)
      if (heading !== undefined) expect(headingsOf(TEXTS.get(file) ?? '')).toContain(heading)
    }
  })

  it('names only npm scripts of package.json', () => {
    for (const [, name] of text.matchAll(/\bnpm run (?:-\S+ )*(\w[\w:-]*)/g))
      expect(scripts).toHaveProperty([name ?? ''])
  })
})

it('a page exists if a comment or a file of deploy names it', async () => {
  const folders = ['controller', 'deploy', 'kube', 'lib', 'nixos-module', 'recipes', 'shim', 'test']
  for (const folder of folders) {
    const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })
    for (const entry of entries.filter(entry => entry.isFile())) {
      const text = await readFile(join(entry.parentPath, entry.name), 'utf8')
      for (const [page] of text.matchAll(/(?<![\w/-])docs\/[\w/-]+\.md/g))
        expect(TEXTS.has(page) || ELSEWHERE.has(page), `${entry.name} names ${page}`).toBe(true)
    }
  }
})

/** Pages of other projects. */
const ELSEWHERE = new Set(['docs/architecture.md'])

it.each([
  ['enbi-shim', SHIM_MAIN, ['', 'serve', 'pull', 'status', 'doctor', 'keys', 'name', 'check-config']],
  ['enbi-controller', CONTROLLER_MAIN, ['']],
  ['kubectl nixbuild', KUBECTL_MAIN, ['', 'get', 'wait', 'logs', 'why', 'prepull']],
])('%s has every command and option that the pages name', async (program, main, commands) => {
  const named = [...TEXTS.values()].flatMap(text => commandsIn(text, program))
  expect(named.length).toBeGreaterThan(0)
  const helps = await Promise.all(commands.map(command => helpOf(main, command)))
  for (const { command, options } of named) {
    expect(commands).toContain(command)
    for (const option of options) expect(helps[commands.indexOf(command)] ?? '', command).toContain(`${option} `)
  }
})

describe('the front page', () => {
  const page = TEXTS.get('README.md') ?? ''

  it('fits on a screen', () => {
    expect(page.trimEnd().split('\n').length).toBeLessThanOrEqual(60)
  })

  it('shows a config with a name rule and its policy', () => {
    const [, example = ''] = /```yaml\n(.*?)```/s.exec(page) ?? []
    const { names, policy } = parseConfig(example, 'README.md')
    expect([names.length, policy.length]).toEqual([1, 1])
  })

  it('has the figures of the reference', () => {
    const figures = figuresIn(TEXTS.get('docs/reference/figures.md') ?? '')
    expect(figuresIn(page).size).toBe(3)
    for (const [name, value] of figuresIn(page)) expect([name, value]).toEqual([name, figures.get(name)])
  })
})

function figuresIn(text: string): Map<string | undefined, string | undefined> {
  return new Map([...text.matchAll(/^\| `([\w.]+)` \| ([^|]+) \|/gm)].map(([, name, value]) => [name, value]))
}

async function helpOf(main: string, command: string): Promise<string> {
  const args = [main, ...(command === '' ? [] : [command]), '--help']
  return (await execa(process.execPath, args)).stdout.replaceAll('\n', ' \n')
}

/** The anchors that GitHub gives to headings. */
function headingsOf(text: string): string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, '')
  return [...prose.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => {
    return heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-')
  })
}

/** A command ends with its line, or with the code span that holds it. */
function commandsIn(text: string, program: string): { command: string; options: string[] }[] {
  const joined = indentCommands(text).replace(/\\\n\s*/g, ' ')
  return [...joined.matchAll(new RegExp(`(?:^ {4}|\`)${program}(?= )([^\`\n#|]*)`, 'gm'))].map(([, rest = '']) => {
    const words = rest.trim().split(/\s+/)
    const [command = ''] = words[0]?.startsWith('-') ? [''] : words
    return { command, options: words.flatMap(word => /^\[?(--[a-z-]+)/.exec(word)?.[1] ?? []) }
  })
}

/** Of a fenced shell block all lines are commands, of a console those after a prompt. */
function indentCommands(text: string): string {
  return text.replace(/^ *```(sh|console)\n([\s\S]*?)^ *```$/gm, (_block, language: string, code: string) =>
    code.replace(language === 'sh' ? /^ */gm : /^\$ /gm, '    '),
  )
}
