/** One way to run crictl. */
export interface Question {
  readonly args: readonly string[]
  /** Commands that restore the state it needs, before each of its runs. They go to containerd and may fail. */
  readonly before?: readonly (readonly string[])[]
}

export const PLAIN = 'registry.example/plain:1'
export const OTHER = 'registry.example/other:1'
export const PRIVATE = 'private.example/image:1'
export const ACCOUNT = {
  username: 'puller',
  password: 'secret',
  htpasswd: 'puller:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a',
}

const ABSENT = 'registry.example/absent:1'
const CREDENTIALS = `${ACCOUNT.username}:${ACCOUNT.password}`
const AUTH = Buffer.from(CREDENTIALS).toString('base64')

/** `digest` is that of the manifest of PLAIN, `id` the digest of its config. */
export function makeQuestions({ digest, id }: { readonly digest: string; readonly id: string }): Question[] {
  const pinned = `registry.example/plain@${digest}`
  const both = [
    ['pull', PLAIN],
    ['pull', OTHER],
  ]
  const pulls = (image: string, ...flags: string[]): Question => ({
    args: ['pull', ...flags, image],
    before: [['rmi', image]],
  })
  const asks = (...args: string[]): Question => ({ args })
  return [
    { ...asks('images'), before: both },
    asks('images', '--quiet'),
    asks('images', '--verbose'),
    asks('images', '--digests'),
    asks('images', '--no-trunc'),
    asks('images', '--pinned'),
    asks('images', '--output', 'json'),
    asks('images', '--output', 'yaml'),
    asks('images', '--output', 'table'),
    asks('images', PLAIN),
    asks('images', ABSENT),
    asks('images', '--filter', 'reference=plain'),
    asks('images', '--filter', 'dangling=true'),
    asks('images', '--filter', `before=${PLAIN}`),
    asks('inspecti', PLAIN),
    asks('inspecti', id),
    asks('inspecti', id.replace('sha256:', '').slice(0, 13)),
    asks('inspecti', pinned),
    asks('inspecti', '--quiet', PLAIN),
    asks('inspecti', '--output', 'yaml', PLAIN),
    asks('inspecti', '--output', 'table', PLAIN),
    asks('inspecti', '--output', 'go-template', '--template', '{{.status.id}}', PLAIN),
    asks('inspecti', PLAIN, OTHER),
    asks('inspecti', ABSENT),
    asks('imagefsinfo'),
    asks('imagefsinfo', '--output', 'yaml'),
    pulls(PLAIN),
    asks('pull', PLAIN),
    { args: ['pull', pinned], before: [['rmi', PLAIN]] },
    asks('pull', '--annotation', 'team=one', PLAIN),
    asks('pull', '--pull-timeout', '1m', PLAIN),
    asks('pull', ABSENT),
    asks('pull', 'Not/A Reference'),
    pulls(PRIVATE),
    pulls(PRIVATE, '--creds', CREDENTIALS),
    pulls(PRIVATE, '--auth', AUTH),
    pulls(PRIVATE, '--creds', `${ACCOUNT.username}:wrong`),
    { args: ['rmi', OTHER], before: both },
    { args: ['rmi', id], before: both },
    { args: ['rmi', PLAIN, OTHER], before: both },
    asks('rmi', ABSENT),
    { args: ['rmi', '--prune'], before: both },
    { args: ['rmi', '--all'], before: both },
    { ...asks('images'), before: [] },
    asks('version'),
    asks('pods'),
    asks('ps', '--all'),
    asks('stats'),
  ]
}
