import { stringify } from 'yaml'
import { readConfig } from '../config.ts'
import { formatDuration } from '../duration.ts'

/** The config with every default filled in, as YAML that is a config again. Throws ConfigInvalid. */
export async function checkConfig(file: string): Promise<string> {
  const { nix, shutdownTimeout, ...rest } = await readConfig(file)
  return stringify({
    ...rest,
    shutdownTimeout: formatDuration(shutdownTimeout),
    nix: {
      ...nix,
      timeout: formatDuration(nix.timeout),
      abandonAfter: formatDuration(nix.abandonAfter),
      rememberFailures: formatDuration(nix.rememberFailures),
    },
  })
}
