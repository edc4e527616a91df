import { readFile } from 'node:fs/promises'
import { expect } from 'vitest'
import type { CriClient } from '../../node/cri.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'

/** Runs of nix so far, as the shim's log has them; only those for one image if it is given. */
export async function countBuilds(shim: Shim, image = ''): Promise<number> {
  return countLogged(shim, 'build started', `"image":"${image}`)
}

/** Pulls an image of a locked recipe twice, which costs nix once, removes it and pulls it again: the same image each time. */
export async function expectKept(shim: Shim, kubelet: CriClient, image: string): Promise<void> {
  const pull = () => kubelet.pullImage({ image, annotations: {} })
  const imageId = await pull()
  const builds = await countBuilds(shim)
  expect(await pull()).toBe(imageId)
  expect(await countBuilds(shim)).toBe(builds)
  await kubelet.removeImage(image)
  expect(await kubelet.imageStatus(image)).toBeUndefined()
  expect(await pull()).toBe(imageId)
}

/** Waits until the shim has logged the message, in a line that has that detail, too. */
export async function untilLogged(shim: Shim, message: string, detail = ''): Promise<void> {
  await expect.poll(() => countLogged(shim, message, detail), PATIENT).toBeGreaterThan(0)
}

/** Lines of the shim's log with that message, and that detail. */
export async function countLogged({ daemon }: Shim, message: string, detail = ''): Promise<number> {
  const lines = (await readFile(daemon.logPath, 'utf8')).split('\n')
  return lines.filter(line => line.includes(`"msg":"${message}"`) && line.includes(detail)).length
}
