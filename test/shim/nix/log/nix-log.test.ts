import { expect, test } from 'vitest'
import { createNixLogReader, derivationName, type NixLogEntry } from '../../../../shim/nix/log/nix-log.ts'
import { createNixOutput } from '../../../../shim/nix/log/nix-output.ts'
import { NIX_VERSIONS, readCaptured } from '../captured.ts'

function readAll(lines: readonly string[]): NixLogEntry[] {
  const read = createNixLogReader()
  return lines.map(read).filter(entry => entry !== undefined)
}

test.each(NIX_VERSIONS)('the log of a build with Nix %s gives each step', version => {
  const entries = readAll(readCaptured(version, 'success'))
  const steps = entries.flatMap(entry =>
    entry.phase === 'building' && entry.current !== undefined ? [`${entry.current} ${entry.done}`] : [],
  )
  expect([...new Set(steps)]).toEqual(['base 0', 'base 1', 'hello 1', 'hello 2'])
  expect(entries).toContainEqual({ phase: 'builder', derivation: 'base', line: 'making the base' })
  expect(entries).toContainEqual({ phase: 'builder', derivation: 'hello', line: 'hello from the builder' })
  expect(entries.filter(({ phase }) => phase === 'fetching')).toEqual([])
})

test.each([
  ['2.8.0', { phase: 'message', severity: 'error', own: true, text: 'thrown on purpose' }],
  ['2.26.3', { phase: 'message', severity: 'error', own: true, text: 'thrown on purpose' }],
  ['2.26.3', { phase: 'message', severity: 'warning', text: expect.stringMatching(/^ignoring the client/) }],
])('an error of Nix %s is read without trace, escapes and hints', (version, entry) => {
  expect(readAll(readCaptured(version, 'thrown'))).toContainEqual(entry)
})

test.each(NIX_VERSIONS)('an error of Nix %s includes its position in the source', version => {
  const [error] = readAll(readCaptured(version, 'endless')).filter(({ phase }) => phase === 'message')
  expect(error).toMatchObject({
    text: expect.stringMatching(/^infinite recursion encountered \(at flake\.nix:\d+:\d+\)$/),
  })
})

test('downloads are summed up, including announced ones', () => {
  const transfer = (id: number, ...fields: number[]) =>
    `@nix ${JSON.stringify({ action: 'result', id, type: 105, fields })}`
  const entries = readAll([
    '@nix {"action":"start","id":1,"level":0,"text":"","type":102}',
    '@nix {"action":"result","fields":[101,1000],"id":1,"type":106}',
    '@nix {"action":"start","fields":["http://cache/a"],"id":2,"level":4,"text":"downloading","type":101}',
    transfer(2, 100, 400, 0, 0),
    transfer(2, 100, 400, 0, 0),
    '@nix {"action":"start","fields":["http://cache/b"],"id":3,"level":4,"text":"downloading","type":101}',
    transfer(3, 50, 900, 0, 0),
    transfer(2, 400, 400, 0, 0),
    '@nix {"action":"stop","id":2}',
    transfer(3, 900, 900, 0, 0),
  ])
  expect(entries).toEqual([
    { phase: 'fetching', doneBytes: 0, expectedBytes: 1000 },
    { phase: 'fetching', doneBytes: 100, expectedBytes: 1000 },
    { phase: 'fetching', doneBytes: 150, expectedBytes: 1300 },
    { phase: 'fetching', doneBytes: 450, expectedBytes: 1300 },
    { phase: 'fetching', doneBytes: 1300, expectedBytes: 1300 },
  ])
})

test.each([
  ['fatal: \u001b[31mnot\u001b[0m found\r', { phase: 'foreign', line: 'fatal: not found' }],
  ['@nix {"action":"result","fields":["cut \\"sho', { phase: 'builder', derivation: '', line: 'cut "sho' }],
  ['@nix {"action":"msg","column":null,"level":0,"line":null,"msg":"cut sho', { severity: 'error', text: 'cut sho' }],
  ['@nix {"action":"start","id":1', { phase: 'foreign' }],
  ['@nix {"action":"start"}', { phase: 'foreign' }],
  ['@nix null', { phase: 'foreign' }],
  ['@nix {"action":"result","id":1,"type":101,"fields":["a\\u001b[2Jb\\u0007"]}', { phase: 'builder', line: 'ab' }],
])('the line %j is read as %j', (line, entry) => {
  expect(readAll([line])).toEqual([expect.objectContaining(entry)])
})

test('a failed build leaves no counts, and a new build has a name', () => {
  const drv = '/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-app.drv'
  const entries = readAll([
    '@nix {"action":"start","id":1,"level":0,"text":"","type":104}',
    `@nix {"action":"start","fields":["${drv}","",1,1],"id":2,"level":3,"text":"","type":105}`,
    '@nix {"action":"result","fields":[0,1,1,0],"id":1,"type":105}',
    '@nix {"action":"stop","id":2}',
    '@nix {"action":"result","fields":[0,0,0,1],"id":1,"type":105}',
  ])
  expect(entries).toEqual([
    { phase: 'building', done: 0, expected: 0, current: 'app' },
    { phase: 'building', done: 0, expected: 1, current: 'app' },
  ])
})

test.each([
  ['a warning of Nix itself', 1, 'warning: unknown setting'],
  ['one that a daemon has passed on', 0, 'warning: warning: unknown setting'],
])('%s has the prefix once in the log', async (_what, level, text) => {
  const written: string[] = []
  const log = { write: async (line: string) => void written.push(line), close: async () => {} }
  await createNixOutput(log, () => {}).read(`@nix ${JSON.stringify({ action: 'msg', level, msg: text })}`)
  expect(written).toEqual(['warning: unknown setting'])
})

test.each([
  '',
  '@nix {"action":"stop","id":1}',
  '@nix {"action":"result","id":1,"type":105,"fields":[1,2,3,4]}',
  '@nix {"action":"result","id":1,"type":105,"fields":"none"}',
  '@nix {"action":"msg","level":0,"msg":"(use \'--show-trace\' to show detailed location information)"}',
])('the line %j is ignored', line => {
  expect(readAll([line])).toEqual([])
})

test.each([
  ['/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-app-1.0.drv', 'app-1.0'],
  ['/nix/store/0ccnxa25whszw7mgbgyzdm4nqc0zwnm8-app', 'app'],
  ['strange', 'strange'],
])('the derivation %s has the name %s', (path, name) => {
  expect(derivationName(path)).toBe(name)
})
