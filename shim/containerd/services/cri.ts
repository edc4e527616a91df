import { setTimeout as delay } from 'node:timers/promises'
import { RetryableError } from '../../../lib/errors.ts'
import type { Calls } from '../../../lib/grpc/client.ts'
import { IMAGE_SERVICE } from '../../wire/cri.ts'
import { isAway } from './failure.ts'
import { getImage } from './images.ts'

export interface CriImage {
  /** Image id: the config digest. */
  readonly id: string
  /** In bytes. */
  readonly size: number
}

/** The image that CRI knows by that reference. */
export async function criImage(calls: Calls, reference: string): Promise<CriImage | undefined> {
  const { image } = await calls.unary(IMAGE_SERVICE.ImageStatus, { image: { image: reference } })
  return image?.id ? image : undefined
}

/** Every image that CRI knows. */
export async function criImages(calls: Calls): Promise<readonly CriImage[]> {
  return (await calls.unary(IMAGE_SERVICE.ListImages, {})).images
}

const VISIBLE_TIMEOUT_MS = 20_000
/** CRI follows containerd's events within milliseconds unless it is busy. */
const POLL_MS = { first: 5, last: 100 }

/**
 * Waits until CRI answers for the reference with that id, or until its image record is gone, without which CRI never answers.
 * Throws ImageNotVisible if neither happens in time.
 */
export async function waitUntilVisible(calls: Calls, reference: string, id: string): Promise<'visible' | 'gone'> {
  const giveUpAt = performance.now() + VISIBLE_TIMEOUT_MS
  let last: string | undefined
  for (let pause = POLL_MS.first; performance.now() < giveUpAt; pause = Math.min(pause * 2, POLL_MS.last)) {
    last = (await criImage(calls, reference).catch(unlessStarting))?.id
    if (last === id) return 'visible'
    if (await isGone(calls, reference)) return 'gone'
    await delay(pause)
    calls.signal?.throwIfAborted()
  }
  const found = last ? `CRI still answers with ${last}` : 'CRI does not know it'
  throw new RetryableError('ImageNotVisible', `the image ${reference} is in containerd as ${id}, but ${found}`)
}

async function isGone(calls: Calls, reference: string): Promise<boolean> {
  try {
    return (await getImage(calls, reference)) === undefined
  } catch (error) {
    unlessStarting(error)
    return false
  }
}

function unlessStarting(error: unknown): undefined {
  if (!isAway(error)) throw error
}
