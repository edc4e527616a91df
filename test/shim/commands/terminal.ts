import { execa } from 'execa'
import { PYTHON, PYTHON_ENV } from '../../node/python.ts'
import { PATIENCE_MS } from '../../patience.ts'

const PTY = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))'

/** Starts a program and collects its output. */
export function startProgram([program = '', ...args]: readonly string[]) {
  const child = execa(program, args, { reject: false, timeout: PATIENCE_MS, env: PYTHON_ENV })
  let text = ''
  child.stdout.on('data', chunk => {
    text += chunk
  })
  return { child, written: () => text }
}

/** Starts a program on a new terminal. Writing to the child's stdin types on that terminal. */
export function startOnTerminal(command: readonly string[], { rows = 60, columns = 120 } = {}) {
  const sized = ['sh', '-c', `stty rows ${rows} cols ${columns} && exec "$@"`, 'sh']
  return startProgram([PYTHON, '-I', '-c', PTY, ...sized, ...command])
}
