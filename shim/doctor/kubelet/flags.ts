/** Values of a program's flags by their names: `--name=value`, `--name value`, `--name` (true). The last one wins, but for `many`. */
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
