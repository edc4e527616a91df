import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { SetupError, say, succeeds } from './run.mjs'

/**
 * Unpacks Debian packages, with the dependencies that the machine lacks, into a folder that appears once all are unpacked. Nothing is
 * installed, because that would start daemons and might replace those in use. `byHand` are lines that say how to do this by hand.
 */
export async function unpackArchives(packages, folder, byHand) {
  if (!(await succeeds('apt-get', ['--version']))) {
    throw new SetupError(['there is no apt-get; get these by hand (as Debian names them)', ...byHand].join('\n'))
  }
  const archives = `${folder}-archives`
  mkdirSync(join(archives, 'partial'), { recursive: true })
  if (!(await download(packages, archives))) {
    say('updating the list of Debian packages (apt-get update)')
    const isUpdated = await succeeds('apt-get', ['-qq', ...STATUS, ...LOCK_WAIT, 'update'], { readLine: readStatus })
    if (!isUpdated || !(await download(packages, archives))) {
      throw new SetupError(['apt-get could not fetch the Debian packages (above)', ...byHand].join('\n'))
    }
  }
  await unpack(archives, folder)
  rmSync(archives, { recursive: true })
}

/** Has apt-get write its progress as lines like `dlstatus:3:12.5:Retrieving file 3 of 40`. */
const STATUS = ['-o', 'APT::Status-Fd=1']

function readStatus(line) {
  if (/^[EW]: /.test(line)) console.error(line)
  const [, percent] = /^dlstatus:\d+:([\d.]+):/.exec(line) ?? []
  return percent && `${Math.round(Number(percent))} % fetched`
}

/** Another apt-get may be running. */
const LOCK_WAIT = ['-o', 'DPkg::Lock::Timeout=300']

async function download(packages, archives) {
  const settings = [`Dir::Cache::archives=${archives}/`, 'APT::Sandbox::User=root'] // the project may be for root alone
  const options = [
    '-qq',
    ...STATUS,
    ...LOCK_WAIT,
    ...settings.flatMap(setting => ['-o', setting]),
    '--no-install-recommends',
  ]
  return succeeds('apt-get', [...options, '--yes', '--download-only', 'install', ...packages], {
    env: { DEBIAN_FRONTEND: 'noninteractive' },
    readLine: readStatus,
  })
}

/** Files of a package in /bin go into /usr/bin. dpkg-deb --extract would replace the link /bin by a folder. */
const EXTRACT = 'dpkg-deb --fsys-tarfile "$0" | tar --extract --keep-directory-symlink --directory "$1"'

/** Uses another name until the folder is complete, so that an interrupted set-up is repeated. */
async function unpack(archives, folder) {
  const parts = `${folder}.part`
  rmSync(parts, { recursive: true, force: true })
  mkdirSync(join(parts, 'usr'), { recursive: true })
  for (const name of ['bin', 'sbin', 'lib']) {
    mkdirSync(join(parts, 'usr', name))
    symlinkSync(`usr/${name}`, join(parts, name))
  }
  const files = readdirSync(archives).filter(name => name.endsWith('.deb'))
  say(`unpacking ${files.length} Debian packages`)
  for (const file of files) {
    if (!(await succeeds('sh', ['-c', EXTRACT, join(archives, file), parts])))
      throw new SetupError(`cannot unpack ${file}`)
  }
  rmSync(folder, { recursive: true, force: true })
  renameSync(parts, folder)
}
