import { createHash } from 'node:crypto'
import type { FlakeUrl } from './flake-url.ts'

/** What is to be built under which name. */
export interface Recipe {
  /** Normalised image reference: `docker.io/library/app:latest`, `registry.example:5000/team/app@sha256:…`. */
  readonly image: string
  readonly flake: FlakeUrl
  /** Attribute path below `packages.<system>`, dots separate: `app`, `images.web`. */
  readonly packageName: string
  /** Nix system: `x86_64-linux`. */
  readonly system: string
}

/** Stable id of a recipe: the hex sha256 over its four parts. */
export function recipeKey({ image, flake, packageName, system }: Recipe): string {
  return createHash('sha256')
    .update(JSON.stringify([image, flake.url, packageName, system]))
    .digest('hex')
}
