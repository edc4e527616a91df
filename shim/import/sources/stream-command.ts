import { isStorePath } from '../../store-path.ts'

/** What a stream script runs. */
export interface StreamCommand {
  /** Store path of the Python program. */
  readonly program: string
  /** Store path of the conf.json that it is given. */
  readonly conf: string
}

const EXEC = /^exec\s+(["']?)([^\s"']+)\1\s+(["']?)([^\s"']+)\3(?:\s+"\$@")?\s*$/

/**
 * What a shell script runs that does nothing but to run the program of nixpkgs' streamLayeredImage, as makeWrapper
 * writes it; undefined for any other.
 */
export function findStreamCommand(script: string, storeDir?: string): StreamCommand | undefined {
  const [shebang = '', ...lines] = script.split('\n')
  const [line = '', ...others] = lines.filter(line => !/^\s*(#|$)/.test(line))
  const [, , program = '', , conf = ''] = EXEC.exec(line) ?? []
  if (!/^#!.*sh\b/.test(shebang) || others.length > 0) return undefined
  if (!isStorePath(program, storeDir) || !program.endsWith('-stream')) return undefined
  if (!isStorePath(conf, storeDir) || !conf.endsWith('-conf.json')) return undefined
  return { program, conf }
}
