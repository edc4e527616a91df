import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Debian packages that the machine lacks are unpacked here by test/setup/debian.mjs; inside a bed their `usr` lies over the machine's. */
export const UNPACKED = join(import.meta.dirname, '../../.cache/debian')

/** The static busybox, as a path that is good outside of a bed, too. */
export const BUSYBOX =
  [join(UNPACKED, 'usr/bin/busybox'), '/usr/bin/busybox'].find(path => existsSync(path)) ?? 'busybox'
