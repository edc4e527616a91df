import { readFile } from 'node:fs/promises'
import { execa } from 'execa'
import { BUSYBOX } from '../../test/node/programs.ts'
import { type Blob, type Entry, makeLayer } from './image.ts'

/** A root file system of static busybox, with the users, pages and programs that the tests of CRI expect in their images. */
export async function makeBusyboxLayer(): Promise<Blob> {
  const { stdout } = await execa(BUSYBOX, ['--list'], { timeout: 10_000 })
  const applets = stdout.split('\n').filter(name => name !== 'busybox')
  const missing = Object.entries(SCRIPTS).filter(([name]) => !applets.includes(name))
  return await makeLayer([
    ...FOLDERS.map((name): Entry => ({ name, type: 'directory', mode: name === 'tmp' ? 0o1777 : 0o755 })),
    { name: 'bin/busybox', mode: 0o755, content: await readFile(BUSYBOX) },
    ...applets.map((name): Entry => ({ name: `bin/${name}`, type: 'symlink', linkname: 'busybox' })),
    ...missing.map(([name, content]): Entry => ({ name: `bin/${name}`, mode: 0o755, content })),
    { name: 'etc/passwd', mode: 0o644, content: PASSWD },
    { name: 'etc/group', mode: 0o644, content: GROUP },
    { name: 'www/index.html', mode: 0o644, content: 'a page\n' },
  ])
}

const FOLDERS = [
  'bin',
  'dev',
  'etc',
  'home',
  'mnt',
  'proc',
  'root',
  'sys',
  'tmp',
  'usr',
  'usr/sbin',
  'var',
  'var/run',
  'www',
]

const PASSWD = `root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh
default-user:x:1000:1000::/home:/bin/sh
`
const GROUP = `root:x:0:
www-data:x:33:
nogroup:x:65534:
default-user:x:1000:
group-defined-in-image:x:50000:default-user
`

/** Programs that the tests run and that Debian's busybox may lack. */
const SCRIPTS = {
  pgrep: `#!/bin/sh
status=1
for process in /proc/[0-9]*; do
  read -r name 2>/dev/null <"$process/comm" || continue
  [ "$name" != "$1" ] || { echo "\${process#/proc/}"; status=0; }
done
exit $status
`,
  ipcs: `#!/bin/sh
exec cat /proc/sysvipc/shm
`,
}
