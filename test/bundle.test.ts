import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { execa } from 'execa'
import * as v from 'valibot'
import { beforeAll, describe, expect, it } from 'vitest'
import { lazy } from '../lib/async/lazy.ts'

/** What is loaded for rare kubeconfigs alone: client-node's generated models and the packages of its other ways to log in. */
const RARE =
  /@kubernetes\/client-node\/dist\/(?:config\.js|gen\/)|node_modules\/(?:undici|openid-client|jsonpath-plus|js-yaml|socks)\//

/** Memory that most of a node's day does not need. */
const LATER =
  /node_modules\/(?:protobufjs|@grpc|execa|@kubernetes|prom-client)\/|shim\/(?:nix\/builder|import\/importer)\.ts/

/** The package debug does without it. */
const OPTIONAL = 'supports-color'

/** What talks to containerd and runs programs. */
const DAEMON = /node_modules\/(?:protobufjs|@grpc|execa)\/|shim\/commands\/shim-client\.ts/

const metafileSchema = v.object({
  outputs: v.record(
    v.string(),
    v.object({
      entryPoint: v.optional(v.string()),
      imports: v.array(v.object({ path: v.string(), kind: v.string() })),
      inputs: v.record(v.string(), v.object({ bytesInOutput: v.number() })),
    }),
  ),
})
type Outputs = v.InferOutput<typeof metafileSchema>['outputs']

describe.each([
  { program: 'shim', client: 'kube/client/client.ts', server: 'shim/metrics/metrics.ts' },
  { program: 'controller', client: 'controller/run.ts', server: 'controller/run.ts' },
] as const)('the bundle of the $program', ({ program, client, server }) => {
  let outputs: Outputs
  beforeAll(async () => {
    outputs = await bundles[program]()
  })

  it('loads of client-node only what most kubeconfigs need', () => {
    const loaded = chunksLoadedWith(outputs, client).flatMap(chunk => Object.keys(outputs[chunk]?.inputs ?? {}))
    expect(loaded).toContain('node_modules/@kubernetes/client-node/dist/config_types.js')
    expect(loaded.filter(module => RARE.test(module))).toEqual([])
  })

  it('does not import node:http, which would load undici', () => {
    const chunks = chunksLoadedWith(outputs, server)
    expect(chunks).not.toEqual([])
    const imports = chunks.flatMap(chunk => outputs[chunk]?.imports ?? [])
    expect(imports.filter(({ path, kind }) => path === 'node:http' && kind === 'import-statement')).toEqual([])
  })
})

describe('the plugin of kubectl', () => {
  it('is one file, without the daemon', async () => {
    const outputs = await bundles.kubectl()
    const [[file = '', output] = [], ...others] = Object.entries(outputs)
    expect(others).toEqual([])
    expect(basename(file)).toBe('main.cjs')
    const packages = output?.imports.map(({ path }) => path).filter(path => !isBuiltin(path) && path !== OPTIONAL)
    expect(packages).toEqual([])
    const own = Object.keys(output?.inputs ?? {}).filter(module => module.startsWith('shim/'))
    expect(own).toContain('shim/commands/pull-on-nodes.ts')
    expect(own.filter(module => !/^shim\/(?:kubectl|commands|wire)\//.test(module))).toEqual([])
    expect(Object.keys(output?.inputs ?? {}).filter(module => DAEMON.test(module))).toEqual([])
  })
})

describe('the shim at rest', () => {
  it('has not loaded what only recipes and clusters need', async () => {
    const outputs = await bundles.shim()
    const loaded = chunksLoadedWith(outputs, 'shim/serve.ts').flatMap(chunk =>
      Object.keys(outputs[chunk]?.inputs ?? {}),
    )
    expect(loaded).toContain('shim/proxy/proxy.ts')
    expect(loaded.filter(module => LATER.test(module))).toEqual([])
  })
})

const bundles = {
  shim: lazy(() => bundle('shim')),
  controller: lazy(() => bundle('controller')),
  kubectl: lazy(() => bundle('kubectl')),
}

async function bundle(program: string): Promise<Outputs> {
  const dir = await mkdtemp(join(tmpdir(), 'enbi-bundle-'))
  try {
    const metafile = join(dir, 'metafile.json')
    const args = ['run', '--silent', `bundle:${program}`, '--', `--outdir=${dir}`, `--metafile=${metafile}`]
    await execa('npm', args, { cwd: join(import.meta.dirname, '..') })
    return v.parse(metafileSchema, JSON.parse(await readFile(metafile, 'utf8'))).outputs
  } finally {
    await rm(dir, { recursive: true })
  }
}

/** The chunk that begins with the module and all chunks that it imports statically. */
function chunksLoadedWith(outputs: Outputs, entry: string): string[] {
  const chunks = new Set(Object.keys(outputs).filter(path => outputs[path]?.entryPoint === entry))
  for (const chunk of chunks) {
    const imports = outputs[chunk]?.imports ?? []
    for (const { path, kind } of imports) if (kind === 'import-statement' && path in outputs) chunks.add(path)
  }
  return [...chunks]
}
