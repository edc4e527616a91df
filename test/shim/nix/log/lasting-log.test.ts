import { expect, it } from 'vitest'
import { createLastingLog } from '../../../../shim/nix/log/lasting-log.ts'
import type { OwnLogFiles } from '../../../../shim/nix/log/own-log-files.ts'

interface Opened extends Partial<Pick<OwnLogFiles, 'isNew' | 'hasPrevious'>> {
  /** Whether the log is rotated before the last text. */
  readonly rotates?: boolean
  /** Whether the last text cannot be written. */
  readonly fails?: boolean
}

/** Writes two lines to the first log, and one to the second, which is opened because the first has failed or was removed. */
async function writeTo(first: Opened, second: Opened): Promise<string> {
  let text = ''
  const logs = [first, second].map(({ isNew = true, hasPrevious = false, rotates = false, fails = false }, index) => {
    const isLast = (written: string) => written.includes('last')
    const files: OwnLogFiles = {
      isNew,
      hasPrevious,
      makeRoom: async written => rotates && isLast(written),
      async append(written) {
        if (fails && isLast(written)) throw new Error('no space left')
        text = index === 0 ? text : text + written
      },
      isRemoved: async () => index === 0 && !fails,
      close: async () => {},
    }
    return files
  })
  const open = async () => logs.shift() ?? Promise.reject(new Error('not opened again'))
  const log = createLastingLog({ open, retryMs: 0, onFailure: () => {} })
  await log.append('one\ntwo\n')
  await log.append('last\n')
  await log.append('end\n')
  return text
}

it.each([
  ['the whole log is removed', {}, {}, '… 2 lines are missing here'],
  ['a write fails', { fails: true }, { isNew: false }, '… 1 line is missing here'],
  [
    'a write fails after the rotation',
    { fails: true, rotates: true },
    { isNew: false, hasPrevious: true },
    '… 1 line is',
  ],
  ['a write fails after the rotation, and the log is removed', { fails: true, rotates: true }, {}, '… 3 lines are'],
])('says how many lines are missing if %s', async (_, first, second, words) => {
  expect((await writeTo(first, second)).split('\n')[0]).toContain(words)
})
