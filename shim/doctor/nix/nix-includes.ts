import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { type BuildUser, idsOf } from '../../nix/user/build-user.ts'
import { type Finding, ok, warning } from '../probes/finding.ts'

/** Further files are not checked: a file may include itself. */
const MAX_FILES = 50

/**
 * Whether the build user can read the files that its Nix settings include: Nix silently skips an unreadable file of
 * `!include`.
 */
export async function judgeIncludes(user: BuildUser, name: string | null): Promise<Finding> {
  const { files, included } = await readSettings(user.env)
  const unreadable = []
  for (const file of included) if (!(await canRead(user, file))) unreadable.push(file)
  if (unreadable.length === 0) return ok(files.length === 0 ? 'no config files' : files.join(', '))
  return warning(
    `${name ?? 'the build user'} cannot read ${unreadable.join(', ')}, which a nix.conf includes: flakes are fetched without its access-tokens and netrc-file`,
    'make it readable for the group of the build user: chgrp, and chmod 640',
  )
}

/** Existing files and the files that they include. */
async function readSettings(env: BuildUser['env']): Promise<{ files: string[]; included: string[] }> {
  const queue = settingsOf(env)
  const files: string[] = []
  const included: string[] = []
  for (const file of queue) {
    const text = await readFile(file, 'utf8').catch(() => undefined)
    if (text === undefined || files.includes(file) || files.length === MAX_FILES) continue
    files.push(file)
    if (queue.indexOf(file) >= settingsOf(env).length) included.push(file)
    queue.push(...includesOf(text).map(path => resolve(dirname(file), path)))
  }
  return { files, included }
}

function settingsOf(env: BuildUser['env']): string[] {
  const own = env.NIX_USER_CONF_FILES?.split(':') ?? [join(env.XDG_CONFIG_HOME ?? '/', 'nix/nix.conf')]
  return [join(env.NIX_CONF_DIR ?? '/etc/nix', 'nix.conf'), ...own]
}

function includesOf(text: string): string[] {
  return text.split('\n').flatMap(line => {
    const [word, path] = line.replace(/#.*/, '').trim().split(/\s+/)
    return (word === 'include' || word === '!include') && path ? [path] : []
  })
}

/** Tried as that user, because more than the mode may decide. */
async function canRead(user: BuildUser, file: string): Promise<boolean> {
  const env = { PATH: process.env.PATH }
  return promisify(execFile)('sh', ['-c', 'exec <"$1"', 'sh', file], { ...idsOf(user), env, cwd: '/' }).then(
    () => true,
    () => false,
  )
}
