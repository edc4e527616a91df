import { existsSync } from 'node:fs'

/**
 * A file or folder of the package, by its path from the top. Sources lie one level below the top, compiled programs
 * two.
 */
export function packageFile(path: string): URL {
  const places = [`../${path}`, `../../${path}`].map(place => new URL(place, import.meta.url))
  const found = places.find(place => existsSync(place))
  if (!found) throw new Error(`no ${path} above ${import.meta.url}`)
  return found
}
