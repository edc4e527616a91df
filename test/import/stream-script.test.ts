import { readdir, readFile } from 'node:fs/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ImportProgress } from '../../shim/import/contract.ts'
import { dockerEntries, smallImage, type TestImage } from './image.ts'
import { type ImportNode, startImportNode } from './import-node.ts'
import { tar } from './tar.ts'

let node: ImportNode
let image: TestImage
let archive: string
beforeEach(async () => {
  node = await startImportNode()
  image = await smallImage('streamed')
  archive = await node.addFile('archive', await tar(dockerEntries(image)))
})
afterEach(async () => {
  for (const pid of await processesOf(archive)) process.kill(pid, 'SIGKILL')
  await node[Symbol.asyncDispose]()
})

const addScript = (text: string) => node.addFile('script', `#!/bin/sh\n${text}\n`, 0o555)
/** Far below the time after which a script that writes nothing is given up. */
const LIMIT_MS = 30_000

/** Runs for ever with the script's pipes open, and writes nothing. */
const linger = () => `tail -n 0 -f ${archive}`

it('a process that a script leaves behind with its pipes open does not hold the import up', {
  timeout: LIMIT_MS,
}, async () => {
  const path = await addScript(`cat ${archive}\nsetsid ${linger()} &`)
  expect(await node.importImage(path)).toMatchObject({ imageId: image.id })
})

it('a process that a script leaves behind with standard error open does not hold its failure up', {
  timeout: LIMIT_MS,
}, async () => {
  const path = await addScript(`setsid ${linger()} >/dev/null &\necho "last words" >&2\nexit 3`)
  const message = expect.stringContaining('exit code 3:\nlast words')
  await expect(node.importImage(path)).rejects.toMatchObject({ code: 'StreamFailed', message })
})

it('what the processes of a script write after it has ended is read', async () => {
  const path = await addScript(`(while kill -0 $$; do sleep 0.02; done 2>/dev/null; exec cat ${archive}) &`)
  expect(await node.importImage(path)).toMatchObject({ imageId: image.id })
})

it('an import is cancelled at once, whatever its script has left behind', { timeout: LIMIT_MS }, async () => {
  const path = await addScript(`setsid ${linger()} &\nhead -c 1000 ${archive}\nexec ${linger()}`)
  const started = Promise.withResolvers<ImportProgress>()
  const cancel = new AbortController()
  const result = node.importImage(path, { signal: cancel.signal, onProgress: started.resolve })
  result.catch(started.reject)
  await started.promise
  cancel.abort()
  await expect(result).rejects.toMatchObject({ code: 'Cancelled' })
})

it.each([
  ['', 'cat', 1],
  [' that is compressed', 'gzip -c', 1_000_000],
])(
  'what is wrong with an archive%s is said before its script has ended',
  {
    timeout: LIMIT_MS,
  },
  async (_, filter, bytes) => {
    const hostile = await node.addFile('hostile', await tar([{ name: '/etc/passwd', content: Buffer.alloc(bytes) }]))
    const path = await addScript(`${filter} ${hostile}\nexec ${linger()}`)
    await expect(node.importImage(path)).rejects.toMatchObject({ code: 'ArchiveInvalid' })
    expect(await processesOf(archive)).toEqual([])
  },
)

async function processesOf(argument: string): Promise<number[]> {
  const ids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(
    ids.map(async id => {
      const command = await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')
      return command.split('\0').includes(argument) ? [Number(id)] : []
    }),
  )
  return found.flat()
}
