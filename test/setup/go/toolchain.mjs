import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { unpackArchives } from '../debian-archives.mjs'
import { SetupError, say, succeeds } from '../run.mjs'
import { CACHE } from './programs.mjs'

export const GO_VERSION = '1.26.8'

/** Go's names of Node's architectures. */
const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' }
/** The first minor version of Go that fetches another version of itself when asked to. */
const OLDEST_MINOR = 21
const COMMANDS = ['go', '/usr/local/go/bin/go']

/**
 * A go command of that version, and the environment that selects it. If the machine's own Go can switch versions, it is used with its
 * own caches. Otherwise Go is fetched, and its caches go into a folder that may be removed afterwards.
 */
export async function findGo(caches) {
  const command = COMMANDS.find(canSwitch)
  if (command) return { command, env: { GOTOOLCHAIN: `go${GO_VERSION}` } }
  const dir = join(CACHE, `go-${GO_VERSION}`)
  if (!existsSync(dir)) await fetchToolchain(dir)
  return {
    command: join(dir, 'bin/go'),
    env: { GOROOT: dir, GOTOOLCHAIN: 'local', GOPATH: caches, GOCACHE: join(caches, 'build') },
  }
}

function canSwitch(command) {
  return minorVersion(command) >= OLDEST_MINOR
}

/** NaN if there is no such command. */
function minorVersion(command) {
  const env = { ...process.env, GOTOOLCHAIN: 'local' }
  const { stdout } = spawnSync(command, ['version'], { encoding: 'utf8', env })
  return Number(/^go version go1\.(\d+)/.exec(stdout ?? '')?.[1])
}

/** Go is published as the module golang.org/toolchain, which any older Go fetches and verifies. */
async function fetchToolchain(dir) {
  const architecture = ARCHITECTURES[process.arch]
  if (architecture === undefined)
    throw new SetupError(`get Go ${GO_VERSION} by hand: none is known for ${process.arch}`)
  say(`fetching Go ${GO_VERSION} into ${CACHE}, there is none of 1.${OLDEST_MINOR} or newer here`)
  const parts = `${dir}.part-${process.pid}`
  mkdirSync(parts, { recursive: true })
  try {
    const module = `golang.org/toolchain@v0.0.1-go${GO_VERSION}.linux-${architecture}`
    const modules = join(parts, 'modules')
    const env = { GOMODCACHE: modules, GOPATH: parts, GOCACHE: join(parts, 'build'), GOFLAGS: '-modcacherw' }
    if (!(await succeeds(await olderGo(parts), ['mod', 'download', module], { env }))) {
      throw new SetupError(`cannot fetch Go (above): set GOPROXY, or get Go 1.${OLDEST_MINOR} or newer by hand`)
    }
    const root = join(modules, module)
    // A module keeps no file modes, and its go.mod has another name.
    for (const tools of ['bin', 'pkg/tool']) makeExecutable(join(root, tools))
    copyFileSync(join(root, 'src/_go.mod'), join(root, 'src/go.mod'))
    if (!existsSync(dir)) renameSync(root, dir)
  } finally {
    rmSync(parts, { recursive: true, force: true })
  }
}

/** The go command of the machine, or that of Debian. */
async function olderGo(parts) {
  const command = COMMANDS.find(command => minorVersion(command) > 0)
  if (command) return command
  const folder = join(parts, 'debian')
  await unpackArchives(['golang-go'], folder, [`  go is missing: get Go 1.${OLDEST_MINOR} or newer`])
  const [lib] = readdirSync(join(folder, 'usr/lib')).filter(name => /^go-1\./.test(name))
  if (!lib) throw new SetupError(`the Debian packages lack go: get Go 1.${OLDEST_MINOR} or newer by hand`)
  return join(folder, 'usr/lib', lib, 'bin/go')
}

function makeExecutable(dir) {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name)
    if (statSync(path).isDirectory()) makeExecutable(path)
    else chmodSync(path, 0o755)
  }
}
