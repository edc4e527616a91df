import manifest from '../package.json' with { type: 'json' }

/** Version of this package, such as `0.1.0`. A bundle contains it, so that it may lie anywhere. */
export function version(): string {
  return manifest.version
}
