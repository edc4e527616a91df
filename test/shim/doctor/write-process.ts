import { chown, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface WrittenProcess {
  readonly pid: number
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Of the user that runs the test by default. */
  readonly uid?: number
  /** Of the machine by default. */
  readonly pidNamespace?: string
  readonly program?: string
}

const OF_MACHINE = 'pid:[4026531836]'

/** Writes what `/proc` says about a process to another folder. */
export async function writeProcess(proc: string, written: WrittenProcess): Promise<void> {
  const { pid, args, env = {}, uid, pidNamespace = OF_MACHINE, program = process.execPath } = written
  const zeroEnded = (texts: readonly string[]) => texts.map(text => `${text}\0`).join('')
  const folder = join(proc, String(pid))
  for (const [of, namespace] of [
    ['self', OF_MACHINE],
    [String(pid), pidNamespace],
  ] as const) {
    await mkdir(join(proc, of, 'ns'), { recursive: true })
    // All processes of a folder share `self`.
    await symlink(namespace, join(proc, of, 'ns/pid')).catch(() => {})
  }
  await symlink(program, join(folder, 'exe'))
  await writeFile(join(folder, 'cmdline'), zeroEnded(args))
  await writeFile(join(folder, 'environ'), zeroEnded(Object.entries(env).map(([name, value]) => `${name}=${value}`)))
  if (uid !== undefined) await chown(folder, uid, -1)
}
