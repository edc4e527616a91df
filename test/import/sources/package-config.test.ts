import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { packageConfig } from '../../../shim/import/sources/package-config.ts'

async function makePackage(programs: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'package-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  if (programs.length > 0) await mkdir(join(folder, 'bin'))
  for (const program of programs) await writeFile(join(folder, 'bin', program), '')
  return folder
}

test.each([
  ['its one program', ['only'], {}, 'only'],
  ['its main program', ['one', 'two'], { mainProgram: 'two' }, 'two'],
])('a package runs %s', async (_what, programs, hints, program) => {
  const folder = await makePackage(programs)
  expect(await packageConfig(folder, hints)).toEqual({ Entrypoint: [`${folder}/bin/${program}`], Env: ['PATH=/bin'] })
})

test('a package may say itself how it is run', async () => {
  const folder = await makePackage(['one', 'two'])
  const imageConfig = { Cmd: ['/bin/two'], Env: ['A=1'], ExposedPorts: { '80/tcp': {} }, User: '1000' }
  expect(await packageConfig(folder, { imageConfig })).toEqual(imageConfig)
})

test('what it says besides is laid over', async () => {
  const folder = await makePackage(['only'])
  expect(await packageConfig(folder, { imageConfig: { WorkingDir: '/tmp' } })).toEqual({
    Entrypoint: [`${folder}/bin/only`],
    Env: ['PATH=/bin'],
    WorkingDir: '/tmp',
  })
})

test.each([
  ['several programs', ['one', 'two'], {}, /the programs one, two, and does not say what to run: meta.mainProgram/],
  ['no program', [], {}, /no program in bin/],
  [
    'a main program that is not there',
    ['one'],
    { mainProgram: 'two' },
    /meta.mainProgram is "two", and it has the programs one/,
  ],
  ['an unknown key', ['one'], { imageConfig: { Entrypint: [] } }, /passthru.imageConfig is wrong at Entrypint/],
  ['a wrong type', ['one'], { imageConfig: { Cmd: '/bin/one' } }, /passthru.imageConfig is wrong at Cmd/],
])('%s is a clear error', async (_what, programs, hints, message) => {
  const folder = await makePackage(programs)
  await expect(packageConfig(folder, hints)).rejects.toMatchObject({
    code: 'NotAnImage',
    message: expect.stringMatching(message),
  })
})
