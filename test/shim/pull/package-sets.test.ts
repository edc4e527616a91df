import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { hostSystem } from '../../../recipes/system.ts'
import { type Bed, startBed } from '../../node/bed.ts'
import type { CriClient } from '../../node/cri.ts'
import { copyExample, lockExample } from '../../node/example.ts'
import type { Shim } from '../../node/shim.ts'
import { expectKept } from './builds.ts'

/** A package with files that other forms of images are known by. */
const LAYOUT = `layout = package "layout-1.0" { } ''
            echo 'echo layout' | program layout
            echo '{"imageLayoutVersion":"1.0.0"}' > $out/oci-layout
            echo '{}' > $out/index.json
          '';`

let bed: Bed
let shim: Shim
let kubelet: CriClient

beforeAll(async () => {
  bed = await startBed()
  const example = await copyExample('packages', bed.dir)
  const file = join(example.dir, 'flake.nix')
  const flake = await readFile(file, 'utf8')
  await writeFile(file, flake.replace('inherit busybox', `${LAYOUT}\n          inherit busybox`))
  const { url } = await lockExample(example, bed.run)
  shim = await bed.startShim({
    config: {
      names: [{ images: 'nix.local/pkgs/{contents}', packages: url }],
      policy: [{ namespaces: ['default'], images: ['nix.local/**'], flakes: ['packages:path:/**'] }],
    },
  })
  kubelet = bed.cri(shim.socket)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

const pull = (image: string) => kubelet.pullImage({ image, annotations: {} })
const run = (imageId: string, script: string) => bed.runPod({ imageId, command: ['/bin/bash', '-c', script] })

it('an image named after a package set has the programs, certificates and folders of its packages, and a shell', async () => {
  const imageId = await pull('nix.local/pkgs/shell/jq')
  const script = `set -e
    head -n 1 $SSL_CERT_FILE; head -n 1 /etc/services; echo '"hello"' | jq .
    test -d /etc; test ! -L /etc; test ! -L /bin; test -k /tmp; echo '#!/usr/bin/env bash' > /tmp/x; echo 'echo $0' >> /tmp/x; chmod +x /tmp/x; /tmp/x`
  const { output, exitCode } = await run(imageId, script)
  expect(output).toContain('# no authority is trusted here\nhttp 80/tcp\n"hello"\n')
  expect(output).toContain('/tmp/x')
  expect(exitCode).toBe(0)
  expect(await bed.runPod({ imageId })).toEqual({ output: '', exitCode: 0 })
})

it('names with the same packages in another order are built concurrently to one image id', async () => {
  const names = ['curl/jq/htop', 'htop/curl/jq', 'jq/htop/curl/jq'].map(contents => `nix.local/pkgs/${contents}`)
  const ids = await Promise.all(names.map(pull))
  expect(new Set(ids).size).toBe(1)
  for (const name of names) expect(await kubelet.imageStatus(name)).toMatchObject({ id: ids[0] })
})

it('an image of one package without a shell runs its program', async () => {
  const { output } = await bed.runPod({ imageId: await pull('nix.local/pkgs/7zz') })
  expect(output).toBe('7-Zip\n')
})

it('a package with the files of an OCI layout at its root is still imported as a package', async () => {
  const { output } = await bed.runPod({ imageId: await pull('nix.local/pkgs/layout') })
  expect(output).toBe('layout\n')
})

it('a package set of a locked flake runs no nix for a second pull, and is made again after it was removed', async () => {
  await expectKept(shim, kubelet, 'nix.local/pkgs/shell/jq')
})

it('a name with unknown packages fails and lists all of them', async () => {
  await expect(pull('nix.local/pkgs/curl/htpo/jqq')).rejects.toThrow(/htpo .*htop.*jqq/)
})

it('a name for another system than the node fails and names both', async () => {
  const other = hostSystem() === 'x86_64-linux' ? 'arm64' : 'amd64'
  await expect(pull(`nix.local/pkgs/${other}/curl`)).rejects.toThrow(
    new RegExp(`is wanted for .*, and this node is ${hostSystem()}`),
  )
})

it('a container of a package set also runs in layer mode tar', async () => {
  const config = await readFile(shim.configPath, 'utf8')
  expect(config).not.toContain('layers')
  await shim.daemon.stop()
  await writeFile(shim.configPath, `${config}import: { layers: tar }\n`)
  await shim.daemon.start()
  const imageId = await pull('nix.local/pkgs/shell/strace')
  expect((await run(imageId, 'strace echo hello 2> /dev/null')).output).toBe('hello\n')
})
