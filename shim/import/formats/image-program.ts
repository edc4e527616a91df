import { basename } from 'node:path'
import { FinalError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import type { ImageProgram } from '../../../recipes/built-package.ts'
import type { Closure } from '../store/closure.ts'
import { isProgram } from '../store/programs.ts'
import type { RecognizedResult } from './recognize-result.ts'

type Script = Extract<RecognizedResult, { kind: 'script' }>

/** Finds out how Nix can run a program. Throws StreamFailed if its interpreter is not in the closure. */
export async function findImageProgram(
  { path, head }: Script,
  storePath: string,
  closure: Closure,
): Promise<ImageProgram> {
  const interpreter = readInterpreter(head)
  if (interpreter && !(await isProgram(interpreter.path, closure)))
    throw new FinalError(
      'StreamFailed',
      `the package is a program that writes the image, but it cannot be run: its interpreter ${quote(interpreter.path)} is not a program of the package or of what it refers to in the Nix store`,
    )
  return { path, storePath, shell: shellIn(interpreter) ?? (await findShell(closure)) ?? SANDBOX_SHELL }
}

interface Interpreter {
  readonly path: string
  readonly argument: string
}

/** Source: execve(2). */
function readInterpreter(head: Buffer): Interpreter | undefined {
  const [line = ''] = head.toString('utf8').split('\n', 1)
  if (!line.startsWith('#!')) return undefined
  const [path = '', ...words] = line
    .slice(2)
    .trim()
    .split(/[ \t]+/)
  return { path, argument: words.join(' ') }
}

const SHELLS = ['sh', 'bash', 'dash', 'ash', 'ksh', 'mksh', 'zsh']

/** A shell script names its shell. */
function shellIn(interpreter: Interpreter | undefined): ImageProgram['shell'] | undefined {
  if (!interpreter) return undefined
  const { path, argument } = interpreter
  if (SHELLS.includes(basename(path))) return { path, argument: '' }
  return basename(path) === 'busybox' && SHELLS.includes(argument) ? { path, argument } : undefined
}

/** Always chooses the same one: the output of a program is cached by everything that it is run with. */
async function findShell(closure: Closure): Promise<ImageProgram['shell'] | undefined> {
  for (const storePath of [...closure.infos.keys()].sort()) {
    const path = `${storePath}/bin/sh`
    if (await isProgram(path, closure)) return { path, argument: '' }
  }
  return undefined
}

/** Sandboxes have it unless nix.conf says otherwise. */
const SANDBOX_SHELL = { path: '/bin/sh', argument: '' }
