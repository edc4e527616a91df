import { FinalError } from '../lib/errors.ts'
import { quoteForError } from './grammar.ts'

/** Nix's names of processors, by Node's. */
const CPUS: Readonly<Partial<Record<NodeJS.Architecture, string>>> = {
  x64: 'x86_64',
  arm64: 'aarch64',
  arm: 'armv7l',
  ia32: 'i686',
  loong64: 'loongarch64',
  ppc64: 'powerpc64le',
}

/** The Nix system of this machine, such as `x86_64-linux`. */
export function hostSystem(): string {
  return `${cpu()}-${process.platform}`
}

/** The system of images that run on nodes with the processor of this machine. */
export function linuxSystem(): string {
  return `${cpu()}-linux`
}

function cpu(): string {
  return CPUS[process.arch] ?? process.arch
}

/** Accepts `x86_64-linux`, `aarch64-linux` and the like. Throws `RecipeInvalid`. */
export function parseSystem(text: string): string {
  if (/^[a-z0-9_]{2,24}-[a-z0-9]{2,24}$/.test(text)) return text
  throw new FinalError(
    'RecipeInvalid',
    `the system ${quoteForError(text)} is not valid: expected a system like x86_64-linux`,
  )
}
