import { isStorePath } from '../../../../recipes/store-path.ts'

/** What a stream script runs. */
export interface StreamCommand {
  /** Store path of the Python program. */
  readonly program: string
  /** Store path of the conf.json that it is given. */
  readonly conf: string
}

const EXEC = /^exec +(["']?)([^ "']+)\1 +(["']?)([^ "']+)\3(?: +"\$@")? *$/
/** Of those that makeWrapper and nixpkgs' own writers name, without options but the one that it gives. */
const SHELL = /^#! ?\/[\w./+-]{1,255}\/(?:bash|sh)(?: -e)? *$/
/** A shell takes other white space for a part of a word. */
const PLAIN = /^[\n -~]*$/

/**
 * What a shell script runs that does nothing but to run the program of nixpkgs' streamLayeredImage, as makeWrapper
 * writes it; undefined for any other.
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
