import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { UNPACKED } from './programs.ts'

/** A Python with its standard library, as a path that is good outside of a bed, too. */
export const PYTHON =
  ['/usr/bin/python3', join(UNPACKED, 'usr/bin/python3')].find(path => existsSync(path)) ?? 'python3'

/** The machine may lack libraries of a Python that is unpacked. */
export const PYTHON_ENV: Readonly<Record<string, string>> = PYTHON.startsWith(UNPACKED)
  ? { LD_LIBRARY_PATH: globSync(join(UNPACKED, 'usr/lib/*-linux-gnu')).join(':') }
  : {}

/**
 * Runs a program in Python, alike on all machines, and returns what it wrote. Rejects with execa's error when it fails.
 */
export async function runPython(program: string, args: readonly string[], input = ''): Promise<string> {
  const { stdout } = await execa(PYTHON, ['-I', '-X', 'utf8', program, ...args], { input, env: PYTHON_ENV })
  return stdout
}
