import * as v from 'valibot'
import { USE_FEATURES } from '../nix/nix-of-shim.ts'
import type { NixAnswer } from '../nix/sandbox.ts'

export type RunNix = (args: readonly string[]) => Promise<NixAnswer>

/** What nix.conf says about keys. */
export interface KeySettings {
  readonly trustedKeys: readonly string[]
  readonly secretKeyFiles: readonly string[]
  /** Whether the daemon accepts store paths only with a trusted signature. */
  readonly requiresSignatures: boolean
}

const texts = v.object({ value: v.array(v.string()) })
const settingsSchema = v.object({
  'trusted-public-keys': texts,
  'secret-key-files': texts,
  'require-sigs': v.object({ value: v.boolean() }),
})

/** Undefined if nix does not tell. Newer versions call the command `config show`. */
export async function readKeySettings(run: RunNix): Promise<KeySettings | undefined> {
  const older = await run(['show-config', '--json', ...USE_FEATURES])
  const answer = 'problem' in older ? await run(['config', 'show', '--json', ...USE_FEATURES]) : older
  if ('problem' in answer) return undefined
  try {
    const settings = v.parse(settingsSchema, JSON.parse(answer.stdout))
    return {
      trustedKeys: settings['trusted-public-keys'].value,
      secretKeyFiles: settings['secret-key-files'].value,
      requiresSignatures: settings['require-sigs'].value,
    }
  } catch {
    return undefined
  }
}
