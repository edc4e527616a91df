import type { Logger } from 'pino'
import type { NodeStore } from '../../kube/resources/nixnode.ts'
import { messageOf } from '../../lib/errors.ts'
import { readStart } from '../../lib/files/read-start.ts'
import { parsePublicKey } from '../../lib/text/public-key.ts'

export interface OwnStoreOptions {
  readonly address?: string | undefined
  readonly publicKeyFile?: string | undefined
  readonly maxServed: number
  readonly fetchOnly: boolean
  readonly logger: Logger
}

/** In bytes. */
const MAX_FILE = 1024

/** What the NixNode says of this node's store. It reads the key each time, because that may be made after the shim has started. */
export function createOwnStore(options: OwnStoreOptions): () => Promise<NodeStore> {
  const { address, publicKeyFile, maxServed, fetchOnly, logger } = options
  let lastProblem = ''

  async function readKey(): Promise<string | undefined> {
    if (publicKeyFile === undefined) return undefined
    try {
      const publicKey = await readPublicKey(publicKeyFile)
      lastProblem = ''
      return publicKey
    } catch (error) {
      const problem = messageOf(error)
      if (problem !== lastProblem) logger.warn({ err: problem }, 'cannot show the public key of this node')
      lastProblem = problem
      return undefined
    }
  }

  return async () => ({ address, publicKey: await readKey(), maxServed, fetchOnly: fetchOnly || undefined })
}

/** Throws if the file is not one line `NAME:BASE64`. */
export async function readPublicKey(file: string): Promise<string> {
  const key = parsePublicKey((await readStart(file, { maxBytes: MAX_FILE, followsLink: true })).trim())
  if (key) return key.text
  throw new Error(
    `${file} is not a public key of Nix, one line NAME:BASE64: write it with nix key convert-secret-to-public`,
  )
}
