import { mkdtempDisposable } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { execa } from 'execa'
import { median } from './statistics.ts'

/**
 * Prints what npm packages cost at rest, bundled: `node bench/module-memory.ts execa @grpc/grpc-js`.
 * The memory of a process that loads one, less that of a process that loads the parts of Node which the daemon has anyhow.
 */
const BUILT_IN = ['child_process', 'http2', 'net', 'stream/promises', 'tls', 'zlib'].map(name => `node:${name}`)
const RUNS = 7
const REPORT = 'globalThis.gc(); globalThis.gc(); setTimeout(() => console.log(process.memoryUsage().rss), 200)'
const BANNER =
  "import { createRequire as createRequireHere } from 'node:module'; const require = createRequireHere(import.meta.url);"

await using dir = await mkdtempDisposable(join(import.meta.dirname, '../.cache/modules-'))
const base = await restingMegabytes([])
console.log(`node ${process.version}, without any package: ${base.toFixed(1)} MB`)
for (const name of process.argv.slice(2)) {
  const megabytes = await restingMegabytes([name])
  console.log(`${name}: ${(megabytes - base).toFixed(1)} MB more`)
}

async function restingMegabytes(packages: readonly string[]): Promise<number> {
  const imports = [...BUILT_IN, ...packages].map((name, at) => `import * as module${at} from '${name}'`)
  const kept = `globalThis.kept = [${imports.map((_, at) => `module${at}`)}]`
  const outfile = join(dir.path, `${packages.length}.mjs`)
  await build({
    stdin: { contents: [...imports, kept, REPORT].join('\n'), resolveDir: import.meta.dirname },
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node22.19',
    format: 'esm',
    banner: { js: BANNER },
  })
  const samples: number[] = []
  for (let run = 0; run < RUNS; run += 1) {
    const { stdout } = await execa(process.execPath, ['--expose-gc', outfile])
    samples.push(Number(stdout) / 1e6)
  }
  return median(samples)
}
