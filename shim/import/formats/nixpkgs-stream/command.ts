import { isStorePath } from '../../../../recipes/store-path.ts'

/** What a stream script runs. */
export interface StreamCommand {
  /** Store path of the Python program. */
  readonly program: string
  /** Store path of the conf.json that it is given. */
  readonly conf: string
}

const EXEC = /^exec +(["']?)([^ "']+)\1 +(["']?)([^ "']+)\3(?: +"\$@")? *$/
/** Shells of makeWrapper and of nixpkgs' writers, with no option but theirs. */
const SHELL = /^#! ?\/[\w./+-]{1,255}\/(?:bash|sh)(?: -e)? *$/
/** To a shell, other white space is a part of a word. */
const PLAIN = /^[\n -~]*$/

/**
 * Finds the command of a shell script that only runs the program of nixpkgs' streamLayeredImage, as makeWrapper writes it;
 * undefined for any other script.
 */
export function findStreamCommand(script: string, storeDir?: string): StreamCommand | undefined {
  const [shebang = '', ...lines] = script.split('\n')
  const [line = '', ...others] = lines.filter(line => !/^ *(?:#|$)/.test(line))
  const [, , program = '', , conf = ''] = EXEC.exec(line) ?? []
  if (!PLAIN.test(script) || !SHELL.test(shebang) || others.length > 0) return undefined
  if (!isStorePath(program, storeDir) || !program.endsWith('-stream')) return undefined
  if (!isStorePath(conf, storeDir) || !conf.endsWith('-conf.json')) return undefined
  return { program, conf }
}
