import { readdir } from 'node:fs/promises'
import { hasCode } from '../../../lib/error-code.ts'

/**
 * A program's flags by name: `--name=value`, `--name value`, `--name` (true). The last value wins, except for `many`.
 */
export function parseFlags(args: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const flags = new Map<string, string[]>()
  for (const [index, arg] of args.entries()) {
    const [, name, value] = /^--?([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(arg) ?? []
    if (name === undefined) continue
    const next = args[index + 1]
    const given = value ?? (next === undefined || next.startsWith('-') ? 'true' : next)
    flags.set(name, [...(flags.get(name) ?? []), given])
  }
  return flags
}

/** Names in a folder of drop-ins, in the order in which they apply. A missing folder is empty. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).toSorted()
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return []
    throw error
  }
}
