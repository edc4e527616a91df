import { findWords, listFiles, readProjectFile } from './find-words.ts'

const FOLDERS = ['shim', 'kube', 'controller', 'recipes', 'lib', 'conformance', 'test']
const OWN = 'test/docs/words/'

/** Source files that use words which the prose does without, in comments, messages or test names. */
export async function findSourceFiles(): Promise<{ readonly path: string; readonly words: readonly string[] }[]> {
  const files = (await listFiles(FOLDERS, '.ts')).filter(path => !path.startsWith(OWN))
  const found = await Promise.all(files.map(async path => ({ path, words: findWords(await readProjectFile(path)) })))
  return found.filter(({ words }) => words.length > 0)
}
