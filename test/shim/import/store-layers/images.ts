import type { StoreImage, StoreImages } from '../../../node/store-image.ts'
import { LARGE_BYTES } from './nix2container-flake.ts'

/** Images of many files, odd files and a sparse file, on a base image with a folder that is deleted again. */
export const TREES = {
  many: ['many', '1', '300', '3000'],
  other: ['many', '2', '30', '3000'],
  odd: ['odd'],
  whiteouts: ['whiteouts'],
  sparse: ['sparse', `${LARGE_BYTES}`],
}

const CUSTOMIZATION = {
  script:
    'mkdir -p bin tmp base; cp /usr/bin/busybox bin/busybox; cp bin/busybox bin/su; chmod 1777 tmp; touch base/.wh.gone',
  setuid: ['bin/su'],
}

const BASE = {
  script: 'mkdir -p base/gone/away; echo kept > base/kept; ln base/kept base/linked; echo > base/gone/file',
  env: ['A=base', 'B=1'],
}

export function image(layers: StoreImage['layers'], more: Partial<StoreImage> = {}): StoreImage {
  const config = { Cmd: ['/bin/busybox', 'true'], Env: ['A=own'] }
  return { layers, config, customization: CUSTOMIZATION, base: BASE, ...more }
}

export const IMAGES: StoreImages = {
  trees: TREES,
  images: {
    small: image([['many'], ['odd', 'other']]),
    whiteouts: image([['many'], ['whiteouts']]),
    large: image([['many'], ['odd'], ['sparse']]),
    owned: image([['many'], ['odd', 'other']], { conf: { uid: '1000', gid: '100', uname: 'app', gname: 'users' } }),
  },
}
