import { constants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { listProcesses } from './probes/processes.ts'

const DEFAULT_FILE = '/etc/containerd/config.toml'
/** Larger files, and more of them, are not configs that people write. */
const MAX_BYTES = 1024 * 1024
const MAX_FILES = 32

/** The config of a running containerd, with what it imports. */
export interface ContainerdConfig {
  readonly file: string
  /** Without comments. */
  readonly text: string
}

/** The config of the containerd that listens at the address. Undefined if no process has one that says so. */
export async function findContainerdConfig(proc: string, address: string): Promise<ContainerdConfig | undefined> {
  const programs = (await listProcesses(proc)).filter(({ args: [program = ''] }) => basename(program) === 'containerd')
  for (const { args } of programs.slice(0, MAX_FILES)) {
    const file = flagValue(args, /^--?(config|c)$/) ?? DEFAULT_FILE
    const ofFlag = flagValue(args, /^--?(address|a)$/)
    if (ofFlag !== undefined && ofFlag !== address) continue
    const text = await readWithImports(file)
    if (text !== undefined && (ofFlag ?? addressOf(text)) === address) return { file, text }
  }
  return undefined
}

function flagValue(args: readonly string[], name: RegExp): string | undefined {
  for (const [index, arg] of args.entries()) {
    const [flag, value] = arg.split(/=(.*)/s)
    if (flag && name.test(flag)) return value ?? args[index + 1]
  }
  return undefined
}

const DEFAULT_ADDRESS = '/run/containerd/containerd.sock'

function addressOf(text: string): string {
  const [, section = ''] = /^\s*\[(?:grpc|plugins\.["']io\.containerd\.server\.v1\.grpc["'])\]([^[]*)/m.exec(text) ?? []
  return /^\s*address\s*=\s*["']([^"']*)["']/m.exec(section)?.[1] || DEFAULT_ADDRESS
}

/** Undefined if the file cannot be read. A missing import counts as empty, as with containerd. */
async function readWithImports(file: string): Promise<string | undefined> {
  const own = await readConfig(file)
  if (own === undefined) return undefined
  const [, list = ''] = /^\s*imports\s*=\s*\[([^\]]*)\]/m.exec(own) ?? []
  const patterns = [...list.matchAll(/["']([^"']+)["']/g)].map(([, pattern = '']) => resolve(dirname(file), pattern))
  const files = (await Promise.all(patterns.map(matching))).flat().slice(0, MAX_FILES)
  return [own, ...(await Promise.all(files.map(readConfig)))].join('\n')
}

/** People write `DIR/*.toml`. */
async function matching(pattern: string): Promise<string[]> {
  const [start, end, ...more] = basename(pattern).split('*')
  if (start === undefined || end === undefined || more.length > 0) return [pattern]
  const names = await readdir(dirname(pattern)).catch(() => [])
  const found = names.filter(name => name.startsWith(start) && name.endsWith(end))
  return found.sort().map(name => join(dirname(pattern), name))
}

async function readConfig(file: string): Promise<string | undefined> {
  // Anyone's process can name a pipe, whose opening would wait.
  await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => undefined)
  const stat = await handle?.stat()
  if (!handle || !stat?.isFile() || stat.size > MAX_BYTES) return undefined
  return (await handle.readFile('utf8')).replace(/^\s*#.*$/gm, '')
}
