/** Prints the digest of the tar of each layer, one per line: `node print-tar-digests.ts LAYERS`, a JSON list. */
import { createHash } from 'node:crypto'
import { compileRegexes } from '../../../../shim/import/formats/nix2container/regex.ts'
import { mergedLayerTar } from '../../../../shim/import/formats/nix2container/tar.ts'
import type { MergedLayer } from '../../../../shim/import/image/store-image.ts'

const layers: MergedLayer[] = JSON.parse(process.argv[2] ?? '')
for (const layer of layers) {
  const hash = createHash('sha256')
  for (const chunk of mergedLayerTar(layer, await compileRegexes(layer))) hash.update(chunk)
  process.stdout.write(`sha256:${hash.digest('hex')}\n`)
}
