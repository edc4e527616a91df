import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { UNPACKED } from './programs.ts'

/** Path of a Python with its standard library, which is also valid outside a bed. */
export const PYTHON =
  ['/usr/bin/python3', join(UNPACKED, 'usr/bin/python3')].find(path => existsSync(path)) ?? 'python3'

/** An unpacked Python may need libraries that the machine lacks. */
export const PYTHON_ENV: Readonly<Record<string, string>> = PYTHON.startsWith(UNPACKED)
  ? { LD_LIBRARY_PATH: globSync(join(UNPACKED, 'usr/lib/*-linux-gnu')).join(':') }
  : {}

/**
 * Runs a Python program in the same way on all machines and returns its output. Rejects with execa's error if it fails.
 */
export async function runPython(program: string, args: readonly string[], input = ''): Promise<string> {
  const { stdout } = await execa(PYTHON, ['-I', '-X', 'utf8', program, ...args], { input, env: PYTHON_ENV })
  return stdout
}
