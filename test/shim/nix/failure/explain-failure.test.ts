import { describe, expect, test } from 'vitest'
import type { ShimError } from '../../../../lib/errors.ts'
import { explainFailure, type FailedRun } from '../../../../shim/nix/failure/explain-failure.ts'
import { createNixOutput } from '../../../../shim/nix/log/nix-output.ts'
import { NIX_VERSIONS, readCaptured } from '../captured.ts'
import { recipeOf } from '../remote-builder.ts'

const RUN_ID = '20260131T235959Z-0a1b2c3d'
const WHOLE_LOG = `(the whole log: /var/lib/enbi-shim/logs/${RUN_ID}.log on the node)`
const LOG = { write: async () => {}, close: async () => {} }

/** The error for a run that wrote these lines and then failed. */
async function explain(lines: readonly string[], more: Partial<FailedRun> = {}): Promise<ShimError> {
  const output = createNixOutput(LOG, () => {})
  for (const line of lines) await output.read(line)
  const { errors, foreign, ignored, builderTail } = output
  const recipe = recipeOf('github:owner/repo', 'app')
  const exit = { exitCode: 1, killedBy: undefined }
  return explainFailure({
    recipe,
    runId: RUN_ID,
    stateDir: '/var/lib/enbi-shim',
    logs: '/var/lib/enbi-shim/logs',
    step: 'evaluating',
    maxEvalMemory: 2 ** 32,
    exit,
    errors,
    foreign,
    ignored,
    builderTail,
    ...more,
  })
}

describe.each(NIX_VERSIONS)('with Nix %s', version => {
  test.each([
    ['thrown', 'EvaluationFailed'],
    ['endless', 'EvaluationFailed'],
    ['impure', 'EvaluationFailed'],
    ['needsChatty', 'BuilderFailed'],
    ['mute', 'BuilderFailed'],
    ['outless', 'BuilderFailed'],
    ['mismatch', 'BuilderFailed'],
    ['suicide', 'BuildInterrupted'],
    ['full', 'BuilderFailed'],
    ['foreign', 'SystemUnsupported'],
    ['no-flake', 'FlakeNotFound'],
    ['no-path', 'FlakeNotFound'],
    ['no-git', 'FlakeNotFound'],
    ['git-404', 'FlakeNotFound'],
    ['git-refused', 'FetchFailed'],
    ['tarball-404', 'FlakeNotFound'],
    ['tarball-503', 'FetchFailed'],
    ['github-unresolved', 'FetchFailed'],
    ['nix-timeout', 'BuildTimedOut'],
    ['daemon-killed', 'NixDaemonAway'],
    ['daemon-away', 'NixDaemonAway'],
  ])('the failure %s is %s, and its message names the package and the flake', async (name, code) => {
    const error = await explain(readCaptured(version, name))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(/^(?:evaluating|building) app of github:owner\/repo failed: /)
    expect(error.message.length).toBeLessThan(5_000)
    expect(error.message).not.toMatch(/[^\P{Cc}\n]|show-trace|@nix|ignoring the client/u)
  })

  test('a failed builder is reported with the last lines of its log and the path of the whole log', async () => {
    const { message } = await explain(readCaptured(version, 'needsChatty'))
    const lines = Array.from({ length: 20 }, (_, index) => `line ${9980 + index} of many`)
    expect(message).toBe(
      [
        'building app of github:owner/repo failed: the builder of chatty failed with exit code 3. The end of its log:',
        ...lines,
        WHOLE_LOG,
      ].join('\n'),
    )
  })
})

const message = (text: string) => `@nix ${JSON.stringify({ action: 'msg', level: 0, msg: text, raw_msg: text })}`

test.each([
  ['error: writing to file: No space left on device', 'DiskFull'],
  ['error: executing SQLite query: database or disk is full', 'DiskFull'],
  [
    "cannot open connection to remote store 'daemon': error: reading from file: Connection reset by peer",
    'NixDaemonAway',
  ],
  // Nix continues after the first failure, because the source of a locked flake may be in its cache.
  ["opening a connection to remote store 'daemon' previously failed", 'NixDaemonAway'],
  ["opening a connection to remote store 'unix:///srv/nix.sock' previously failed", 'NixDaemonAway'],
  ['writing to file "/srv/nix.sock": Broken pipe', 'NixDaemonAway'],
  ["creating directory '/nix/store': Permission denied", 'NixDaemonAway'],
  ["opening lock file '/nix/var/nix/db/big-lock': Permission denied", 'NixDaemonAway'],
  ["creating directory '/var/lib/enbi-shim/build-home/.cache': Permission denied", 'StateDirNotWritable'],
  [
    "cannot write modified lock file of flake 'github:owner/repo' (use '--no-write-lock-file' to ignore)",
    'EvaluationFailed',
  ],
  ["cannot find flake 'flake:nowhere' in the flake registries", 'FlakeNotFound'],
  ["unable to download 'https://x.example/a': HTTP error 403 ('rate limit exceeded')", 'FetchFailed'],
  ['syntax error, unexpected end of file', 'EvaluationFailed'],
  [
    "getting status of '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-source/missing.nix': No such file or directory",
    'EvaluationFailed',
  ],
  ["path '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-app.drv' is not valid", 'BuildInterrupted'],
  ['stack overflow (possible infinite recursion)', 'EvaluationFailed'],
])('the error %j is %s', async (text, code) => {
  expect((await explain([message(text)])).code).toBe(code)
})

test.each([
  [
    'of a package for other systems has the reason, and no more of a long list',
    `Package ‘app-1’ in /nix/store/x/default.nix:1 is not available on the requested hostPlatform:
       hostPlatform.config = "x86_64-unknown-linux-gnu"
       package.meta.platforms = [\n${'         "aarch64-darwin"\n'.repeat(200)}       ]
     , refusing to evaluate.

     a) To temporarily allow packages that are unsupported for this system, you can use an environment variable`,
    /failed: Package ‘app-1’ in \S+ is not available on the requested hostPlatform: hostPlatform\.config = .{1,700}\] , refusing to evaluate\.\n\(the whole log: /s,
  ],
  [
    "of a flake's own has all that it says",
    'this package is unfree\n\na) To temporarily allow it, ask us',
    /failed: this package is unfree\n\na\) To temporarily allow it, ask us\n\(the whole log: /,
  ],
])('a refusal %s is shortened to its reason', async (_whose, text, reported) => {
  expect((await explain([message(text)])).message).toMatch(reported)
})

test('the error page of a server is neither repeated nor taken for an error of nix', async () => {
  const body = '{"message":"Not Found: No space left on device"}'
  const text = `unable to download 'https://api.github.com/repos/owner/repo': HTTP error 404\n\n       response body:\n\n       ${body}`
  expect(await explain([message(text)])).toMatchObject({
    code: 'FlakeNotFound',
    message: expect.not.stringMatching(/response body|No space/),
  })
})

test('a failed evaluation is reported with the path of the whole log', async () => {
  const { message: reported } = await explain([message('thrown on purpose')])
  expect(reported).toBe(`evaluating app of github:owner/repo failed: thrown on purpose\n${WHOLE_LOG}`)
})

test.each([
  ["unable to download 'https://api.github.com/repos/owner/repo': HTTP error 404", 'FlakeNotFound'],
  ["unable to download 'https://gitlab.example/api/v4/projects/a': HTTP error 401", 'FetchFailed'],
])('the error %j mentions that credentials may be missing', async (text, code) => {
  expect(await explain([message(text)])).toMatchObject({
    code,
    message: expect.stringContaining('no credentials for it'),
  })
})

test('a file that is missing in a flake does not mention credentials', async () => {
  const error = await explain([message("getting status of '/srv/app': No such file or directory")])
  expect(error.message).not.toContain('credentials')
})

test('the error for a missing store path lists the settings that nix ignored', async () => {
  const ignored = "ignoring untrusted substituter 'https://cache.example', you are not a trusted user."
  const lines = [
    `@nix ${JSON.stringify({ action: 'msg', level: 1, msg: ignored })}`,
    message(
      "path '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-a' is required, but there is no substituter that can build it",
    ),
  ]
  expect(await explain(lines, { step: 'building' })).toMatchObject({
    code: 'StorePathMissing',
    message: expect.stringContaining(ignored),
  })
})

test.each([
  "cannot write modified lock file of flake 'github:owner/repo' (use '--no-write-lock-file' to ignore)",
  "flake 'path:/srv/a' requires lock file changes but they're not allowed due to '--no-update-lock-file'",
])('the error %j comes with a way out', async text => {
  expect(await explain([message(text)])).toMatchObject({
    code: 'EvaluationFailed',
    message: `evaluating app of github:owner/repo failed: its flake.lock is missing or does not match its inputs: run nix flake lock there, and commit flake.lock\n${WHOLE_LOG}`,
  })
})

test('a daemon that fails to parse a line of a builder is blamed on the builder', async () => {
  const text = '[json.exception.type_error.302] type must be number, but is string'
  const error = await explain([message(text)], { step: 'building' })
  expect(error).toMatchObject({
    code: 'BuilderFailed',
    message: `building app of github:owner/repo failed: a builder wrote a line that begins with @nix, which Nix reads as its own log format and cannot parse (${text}): change the builder so that it writes no such lines\n${WHOLE_LOG}`,
  })
  expect((await explain([message(text)])).code).toBe('EvaluationFailed')
})

test('text of a builder or an evaluation is not taken for an error of nix', async () => {
  const lines = [
    '@nix {"action":"start","fields":["/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-app.drv","",1,1],"id":7,"level":3,"text":"","type":105}',
    '@nix {"action":"result","fields":["test: Connection refused; HTTP error 404; timed out after 5 seconds"],"id":7,"type":101}',
    message(
      "builder for '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-app.drv' failed with exit code 1;\nlast 1 log lines:\n> test: Connection refused",
    ),
  ]
  expect((await explain(lines)).code).toBe('BuilderFailed')
})

test.each([
  ['unexpected end-of-file', 'EvaluationFailed'],
  ["cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused", 'EvaluationFailed'],
  ["unable to download 'https://x.example/a': HTTP error 503", 'EvaluationFailed'],
  [
    "builder for '/nix/store/05ch0jz9jxws4lfbx7mw2klldcbslwaf-x.drv' failed due to signal 9 (Killed)",
    'EvaluationFailed',
  ],
])('the text %j is %s if the flake may have chosen it', async (text, code) => {
  expect((await explain([message(text)], { isUntrusted: true })).code).toBe(code)
})

test.each([
  'unexpected end-of-file',
  'Nix daemon disconnected',
  'x: No space left on device',
  'interrupted by the user',
  'Connection refused',
  "path '/nix/store/a' is not valid",
  "path '/nix/store/a' is required, but there is no substituter that can build it",
  "/nix/store/x': Permission denied",
  '/var/lib/enbi-shim/x: Permission denied\n',
])('the text %j has no effect as the name of a derivation', async name => {
  const text = `derivation contains an illegal reference specifier '${name}'`
  const build = { step: 'building' } as const
  expect(
    (await explain([passedOn(text), message("1 dependencies of derivation '/nix/store/x.drv' failed to build")], build))
      .code,
  ).toBe('BuilderFailed')
  expect((await explain([message(text)], build)).code).toBe('BuildInterrupted')
})

/** Log lines for what nix passes on: a builder's record, a trace, an error of a daemon that does not end nix. */
const passedOn = (text: string) => `@nix ${JSON.stringify({ action: 'msg', level: 0, msg: `error: ${text}` })}`
const CHATTY = '/nix/store/05ch0jz9jxws4lfbx7mw2klldcbslwaf-chatty.drv'
const LIES = [
  "cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused",
  'writing to file: No space left on device',
  "unable to download 'https://cache.example/nar': HTTP error 503",
  "getting status of '/not/there': No such file or directory",
  `builder for '${CHATTY}' failed due to signal 9 (Killed)`,
]

test.each([
  [`builder for '${CHATTY}' failed with exit code 3`, 'BuilderFailed'],
  [
    `Cannot build '${CHATTY}'.\nReason: builder failed with exit code 3.\nOutput paths:\n  /nix/store/x`,
    'BuilderFailed',
  ],
  ['thrown on purpose', 'EvaluationFailed'],
])('the error %j is %s whatever was logged before', async (text, code) => {
  const before = [
    ...LIES.flatMap(lie => Array.from({ length: 25 }, () => passedOn(lie))),
    ...LIES.map(lie => `fatal: ${lie}`),
  ]
  const error = await explain([...before, message(text)])
  expect(error.code).toBe(code)
  for (const lie of LIES) expect(error.message).not.toContain(lie)
})

test.each([
  "1 dependencies of derivation '/nix/store/x.drv' failed to build",
  "Cannot build '/nix/store/x.drv'.\nReason: 1 dependency failed.",
])('the error before %j is the cause', async end => {
  const lines = [
    ...LIES.map(passedOn),
    passedOn(
      `builder for '${CHATTY}' failed with exit code 3;\n       last 1 log lines:\n       > note: build failure may have been caused by lack of free disk space`,
    ),
  ]
  const error = await explain([...lines, message(end)])
  expect(error).toMatchObject({
    code: 'BuilderFailed',
    message: expect.stringContaining('the builder of chatty failed with exit code 3.'),
  })
})

test('a failed builder is DiskFull if nix reports a full disk', async () => {
  const note = 'note: build failure may have been caused by lack of free disk space'
  expect((await explain([message(`builder for '${CHATTY}' failed with exit code 3;\n\n${note}`)])).code).toBe(
    'DiskFull',
  )
})

test.each([
  ['SIGABRT', 'StateDirNotWritable'],
  ['SIGSEGV', 'EvaluationFailed'],
])('the last output of a nix that was ended by %s gives %s', async (killedBy, code) => {
  const words = [
    "terminate called after throwing an instance of 'nix::SysError'",
    "  what():  error: creating directory '/var/lib/enbi-shim/x': Permission denied",
  ]
  expect((await explain(words, { exit: { exitCode: undefined, killedBy } })).code).toBe(code)
})

test('an evaluation that ran out of memory names the limit and its config key', async () => {
  expect(await explain([...LIES.map(passedOn), passedOn('out of memory')])).toMatchObject({
    code: 'EvaluationFailed',
    message: `evaluating app of github:owner/repo failed: it takes more memory than 4GiB (nix.maxEvalMemory in the config)\n${WHOLE_LOG}`,
  })
})

test('a truncated error still counts as the one that ended nix', async () => {
  const line = message(`thrown ${'x'.repeat(300_000)}`).replace(
    '"level":0,',
    '"column":null,"file":null,"level":0,"line":null,',
  )
  const cut = line.slice(0, 256 * 1024)
  expect((await explain([...LIES.map(passedOn), cut])).message).toContain('failed: thrown xxx')
})

test.each([
  [{ exitCode: undefined, killedBy: 'SIGKILL' }, 'BuildInterrupted', /nix was ended by SIGKILL$/],
  [{ exitCode: undefined, killedBy: 'SIGSEGV' }, 'EvaluationFailed', /nix was ended by SIGSEGV\n\(the whole log: /],
  [{ exitCode: undefined, killedBy: undefined }, 'EvaluationFailed', /nix wrote too much\n\(the whole log: /],
  [
    { exitCode: 1, killedBy: undefined },
    'EvaluationFailed',
    /nix ended with exit code 1 and said nothing\n\(the whole log: /,
  ],
])('a nix that ends as %j without an error is %s', async (exit, code, says) => {
  const error = await explain([], { exit })
  expect(error).toMatchObject({ code, message: expect.stringMatching(says) })
})

test('a message of a megabyte keeps its start and its end', async () => {
  const { message: shown } = await explain([
    message(`first words ${'x'.repeat(1_000_000)} last words`.slice(0, 200_000)),
  ])
  expect(shown).toContain('first words')
  expect(shown.length).toBeLessThan(5_000)
})
