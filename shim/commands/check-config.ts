import { stringify } from 'yaml'
import { readConfig } from '../config.ts'

/** The config with every default filled in, as YAML; durations in milliseconds. Throws ConfigInvalid. */
export async function checkConfig(file: string): Promise<string> {
  return stringify(await readConfig(file))
}
