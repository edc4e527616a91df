import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { busyboxPath } from './debian.mjs'
import { CACHE } from './go-programs.mjs'
import { SetupError, say, succeeds } from './run.mjs'

export const GO_VERSION = '1.26.8'

/** Go's module golang.org/toolchain in that version, by Node's names of architectures; checked against sum.golang.org. */
const TOOLCHAINS = {
  x64: { arch: 'amd64', sha256: '30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7' },
  arm64: { arch: 'arm64', sha256: '02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99' },
}
/** From this on Go fetches another version of itself when it is told to. */
const OLDEST_MINOR = 21

/**
 * A go command of that version, and the environment that makes it so: the machine's own if it can be that, with its own caches, else
 * one that is fetched, whose caches are put into a folder that may be removed afterwards.
 */
export async function findGo(caches) {
  for (const command of ['go', '/usr/local/go/bin/go']) {
    if (canSwitch(command)) return { command, env: { GOTOOLCHAIN: `go${GO_VERSION}` } }
  }
  const dir = join(CACHE, `go-${GO_VERSION}`)
  if (!existsSync(dir)) await fetchToolchain(dir)
  return {
    command: join(dir, 'bin/go'),
    env: { GOROOT: dir, GOTOOLCHAIN: 'local', GOPATH: caches, GOCACHE: join(caches, 'build') },
  }
}

function canSwitch(command) {
  const { stdout } = spawnSync(command, ['version'], {
    encoding: 'utf8',
    env: { ...process.env, GOTOOLCHAIN: 'local' },
  })
  const [, major, minor] = /^go version go(\d+)\.(\d+)/.exec(stdout ?? '') ?? []
  return Number(major) > 1 || (Number(major) === 1 && Number(minor) >= OLDEST_MINOR)
}

async function fetchToolchain(dir) {
  const toolchain = TOOLCHAINS[process.arch]
  if (toolchain === undefined) throw new SetupError(`get Go ${GO_VERSION} by hand: none is known for ${process.arch}`)
  const version = `v0.0.1-go${GO_VERSION}.linux-${toolchain.arch}`
  const url = `${moduleProxy()}/golang.org/toolchain/@v/${version}.zip`
  say(`fetching Go ${GO_VERSION} (70 MB) into ${CACHE}, there is none of 1.${OLDEST_MINOR} or newer here`)
  const zip = await download(url)
  const digest = createHash('sha256').update(zip).digest('hex')
  if (digest !== toolchain.sha256) throw new SetupError(`${url} is not what it should be: its sha256 is ${digest}`)
  unpack(zip, `golang.org/toolchain@${version}`, dir)
}

/** Go's own default, when the first of GOPROXY's entries is no address. */
function moduleProxy() {
  const [first = ''] = (process.env.GOPROXY ?? '').split(/[,|]/)
  return (/^https?:\/\//.test(first) ? first : 'https://proxy.golang.org').replace(/\/$/, '')
}

async function download(address) {
  const url = new URL(address)
  const credentials = url.username && `Basic ${btoa(decodeURIComponent(`${url.username}:${url.password}`))}`
  url.username = url.password = ''
  try {
    const answer = await fetch(url, { headers: credentials ? { authorization: credentials } : {} })
    if (!answer.ok) throw new Error(`it answers ${answer.status}`)
    return Buffer.from(await answer.arrayBuffer())
  } catch (error) {
    const reason = error.cause?.message ?? error.message
    throw new SetupError(`cannot fetch ${url}: ${reason}\nset GOPROXY, or get Go 1.${OLDEST_MINOR} or newer by hand`)
  }
}

/** A module's archive has no modes, and names go.mod otherwise. */
function unpack(zip, folder, dir) {
  const parts = `${dir}.part-${process.pid}`
  mkdirSync(parts, { recursive: true })
  writeFileSync(join(parts, 'zip'), zip)
  try {
    if (!succeeds(busyboxPath(), ['unzip', '-q', join(parts, 'zip'), '-d', parts])) {
      throw new SetupError('cannot unpack Go (above)')
    }
    const root = join(parts, folder)
    for (const tools of ['bin', `pkg/tool`]) makeExecutable(join(root, tools))
    copyFileSync(join(root, 'src/_go.mod'), join(root, 'src/go.mod'))
    if (!existsSync(dir)) renameSync(root, dir)
  } finally {
    rmSync(parts, { recursive: true, force: true })
  }
}

function makeExecutable(dir) {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name)
    if (statSync(path).isDirectory()) makeExecutable(path)
    else chmodSync(path, 0o755)
  }
}
