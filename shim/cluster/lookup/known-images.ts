import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Logger } from 'pino'
import * as v from 'valibot'
import { lazy } from '../../../lib/async/lazy.ts'
import { createOneByOne } from '../../../lib/async/one-by-one.ts'
import { messageOf } from '../../../lib/errors.ts'
import { writeAtomically } from '../../../lib/files/atomic-file.ts'
import { makeStateDir } from '../../../lib/files/own-files.ts'

/** Images that NixBuilds have named, by namespace, as the last look-ups found. Survives a restart. */
export interface KnownImages {
  /** Whether the image had a NixBuild in the namespace when it was last looked up there. */
  has(namespace: string, image: string): Promise<boolean>
  namespacesOf(image: string): Promise<readonly string[]>
  record(namespace: string, image: string, hasNixBuild: boolean): Promise<void>
}

export interface KnownImagesOptions {
  readonly file: string
  /** Beyond this number, the namespace with the most images loses its oldest. */
  readonly most?: number
  readonly logger: Logger
}

const MOST = 2000

const schema = v.pipe(v.string(), v.parseJson(), v.record(v.string(), v.array(v.string())))

type ByNamespace = Map<string, Set<string>>

export function createKnownImages({ file, most = MOST, logger }: KnownImagesOptions): KnownImages {
  const images = lazy(() => load(file))
  const inTurn = createOneByOne()

  const save = (all: ByNamespace) =>
    inTurn(async () => {
      await makeStateDir(dirname(file))
      const content = Object.fromEntries([...all].map(([namespace, names]) => [namespace, [...names]]))
      await writeAtomically(file, JSON.stringify(content), { mode: 0o640 })
    }).catch(err => logger.warn({ err: messageOf(err) }, 'cannot record which images have NixBuilds'))

  return {
    has: async (namespace, image) => (await images()).get(namespace)?.has(image) ?? false,
    async namespacesOf(image) {
      const having = [...(await images())].filter(([, names]) => names.has(image))
      return having.map(([namespace]) => namespace)
    },
    async record(namespace, image, hasNixBuild) {
      const all = await images()
      if ((all.get(namespace)?.has(image) ?? false) === hasNixBuild) return
      if (hasNixBuild) add(all, namespace, image)
      else remove(all, namespace, image)
      if (countOf(all) > most) removeOldest(all)
      await save(all)
    },
  }
}

/** A missing or damaged file counts as empty. */
async function load(file: string): Promise<ByNamespace> {
  const read = v.safeParse(schema, await readFile(file, 'utf8').catch(() => '{}'))
  return new Map(
    Object.entries(read.success ? read.output : {}).map(([namespace, names]) => [namespace, new Set(names)]),
  )
}

function add(all: ByNamespace, namespace: string, image: string): void {
  all.set(namespace, (all.get(namespace) ?? new Set()).add(image))
}

function remove(all: ByNamespace, namespace: string, image: string): void {
  const names = all.get(namespace)
  names?.delete(image)
  if (names?.size === 0) all.delete(namespace)
}

function countOf(all: ByNamespace): number {
  return [...all.values()].reduce((sum, { size }) => sum + size, 0)
}

/** Takes from the namespace with the most, so that one namespace cannot displace the images of others. */
function removeOldest(all: ByNamespace): void {
  const [largest] = [...all].toSorted(([, one], [, other]) => other.size - one.size)
  const [oldest] = largest?.[1] ?? []
  if (largest && oldest !== undefined) remove(all, largest[0], oldest)
}
