import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import * as v from 'valibot'
import { expect, it } from 'vitest'

/** What is loaded for rare kubeconfigs alone: client-node's generated models and the packages of its other ways to log in. */
const RARE =
  /@kubernetes\/client-node\/dist\/(?:config\.js|gen\/)|node_modules\/(?:undici|openid-client|jsonpath-plus|js-yaml|socks)\//

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

it.each([
  ['shim', 'kube/client/client.ts'],
  ['controller', 'controller/run.ts'],
])('the bundle of the %s loads of client-node only what most kubeconfigs need', async (program, entry) => {
  const outputs = await bundle(program)
  const begin = Object.keys(outputs).find(path => outputs[path]?.entryPoint === entry)
  const loaded = modulesLoadedWith(outputs, begin ?? '')
  expect(loaded).toContain('node_modules/@kubernetes/client-node/dist/config_types.js')
  expect(loaded.filter(module => RARE.test(module))).toEqual([])
})

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

/** Modules of a chunk and of all that it imports, but for what is imported only when it is wanted. */
function modulesLoadedWith(outputs: Outputs, begin: string): string[] {
  const chunks = new Set([begin])
  for (const chunk of chunks) {
    const imports = outputs[chunk]?.imports ?? []
    for (const { path, kind } of imports) if (kind === 'import-statement' && path in outputs) chunks.add(path)
  }
  return [...chunks].flatMap(chunk => Object.keys(outputs[chunk]?.inputs ?? {}))
}
