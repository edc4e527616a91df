import { readFileSync } from 'node:fs'
import { packageFile } from './package-file.ts'

/** Version of this package, such as `0.1.0`. */
export function version(): string {
  return String(JSON.parse(readFileSync(packageFile('package.json'), 'utf8')).version)
}
