import { createReadStream } from 'node:fs'
import type { ArchiveOutput } from './output.ts'
import { runStreamScript, type ScriptRun } from './stream-script.ts'

/** Bytes that are read at once. */
const READ_BYTES = 128 * 1024

/** The bytes of an archive, as they are in its file or come from its script. */
export async function* archiveBytes(
  { kind, path }: ArchiveOutput,
  { onBytes, ...run }: ScriptRun & { readonly onBytes: (count: number) => void },
): AsyncGenerator<Buffer> {
  const source = kind === 'script' ? runStreamScript(path, run) : createReadStream(path, { highWaterMark: READ_BYTES })
  for await (const chunk of source) {
    run.signal.throwIfAborted()
    onBytes(chunk.length)
    yield chunk
  }
}
