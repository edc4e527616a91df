import type { Path } from './placing.ts'

/** A path below another; bytes as soon as one part is bytes. */
export function childPath(parent: Path, name: Path): Path {
  if (typeof parent === 'string' && typeof name === 'string') return `${parent}/${name}`
  return Buffer.concat([Buffer.from(parent), SLASH, Buffer.from(name)])
}

const SLASH = Buffer.from('/')
