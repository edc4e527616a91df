import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import * as v from 'valibot'
import { startBed } from '../../test/node/bed.ts'
import { showNewerNix } from '../../test/shim/nix/newer-nix.ts'
import type { Tried } from './try-node.ts'

const LIMIT_MS = 20 * 60_000

const Report = v.object({
  numPassedTests: v.number(),
  testResults: v.array(v.object({ assertionResults: v.array(v.object({ status: v.string(), fullName: v.string() })) })),
})

/** Runs the tests of evaluations, builds and copies (newer-nix.test.ts) with a newer Nix than the one of `npm test`. */
export async function tryBuilds(): Promise<Tried> {
  const dir = await mkdtemp(join(tmpdir(), 'enbi-versions-'))
  try {
    const file = join(dir, 'report.json')
    const args = ['run', '--project', 'versions', '--reporter', 'json', '--outputFile', file]
    const { exitCode } = await execa('vitest', args, {
      env: { ENBI_VERSIONS: '1' },
      preferLocal: true,
      reject: false,
      timeout: LIMIT_MS,
    })
    const { numPassedTests, testResults } = v.parse(Report, JSON.parse(await readFile(file, 'utf8')))
    const what = `${await versionOfNix()}: ${numPassedTests} tests of evaluations, builds and copies`
    const failed = testResults.flatMap(({ assertionResults }) => assertionResults).filter(isFailed)
    if (exitCode === 0 && numPassedTests > 0) return { what, outcome: 'works', problem: '' }
    return { what, outcome: 'fails', problem: failed.map(({ fullName }) => fullName).join('; ') || 'no test ran' }
  } finally {
    await rm(dir, { recursive: true })
  }
}

function isFailed({ status }: { readonly status: string }): boolean {
  return status === 'failed'
}

async function versionOfNix(): Promise<string> {
  await using bed = await startBed({ without: ['containerd', 'nix'] })
  const { stdout } = await bed.run(await showNewerNix(bed), ['--version'])
  return stdout.replace('nix (Nix)', 'Nix')
}
