import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkKubelet } from '../../../../shim/doctor/kubelet/check-kubelet.ts'
import { findKubelet } from '../../../../shim/doctor/kubelet/find-kubelet.ts'
import { parseFlags } from '../../../../shim/doctor/kubelet/settings.ts'

describe('the flags of a kubelet are parsed', () => {
  it.each([
    [['--config=/a.yaml'], { config: ['/a.yaml'] }],
    [['--config', '/a.yaml', '--v', '2'], { config: ['/a.yaml'], v: ['2'] }],
    [['-v=2', '--fail-swap-on'], { v: ['2'], 'fail-swap-on': ['true'] }],
    [['--kubelet-arg=a=b', '--kubelet-arg', 'c=d'], { 'kubelet-arg': ['a=b', 'c=d'] }],
    [['--one', '--two=x'], { one: ['true'], two: ['x'] }],
    [['--empty='], { empty: [''] }],
    [['server', '/path'], {}],
  ])('%j', (args, flags) => {
    expect(Object.fromEntries(parseFlags(args))).toEqual(flags)
  })
})

describe('the settings of a kubelet', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'enbi-doctor-'))
    await mkdir(join(dir, 'drop-ins'))
    await write('config.yaml', 'imageServiceEndpoint: unix:///run/a.sock\nserializeImagePulls: false\n')
  })
  afterEach(() => rm(dir, { recursive: true }))

  const write = (name: string, text: string) => writeFile(join(dir, name), text)
  const k3sConfig = () => join(dir, 'k3s.yaml')
  const k3sFiles = () => ({ config: k3sConfig(), kubeletConfigs: join(dir, 'k3s-kubelet') })
  const find = (...args: string[]) =>
    findKubelet(
      [
        { pid: 1, args: ['sh'] },
        { pid: 2, args },
      ],
      k3sFiles(),
    )

  it('come from its file', async () => {
    expect(await find('/usr/bin/kubelet', `--config=${dir}/config.yaml`)).toEqual({
      source: join(dir, 'config.yaml'),
      isK3s: false,
      flagsHidden: false,
      imageServiceEndpoint: 'unix:///run/a.sock',
      serializeImagePulls: false,
      maxParallelImagePulls: undefined,
    })
  })

  it('are overridden by drop-ins in their order, and these by flags', async () => {
    await write('drop-ins/10.conf', 'imageServiceEndpoint: unix:///run/b.sock\nmaxParallelImagePulls: 3\n')
    await write('drop-ins/20.conf', 'imageServiceEndpoint: unix:///run/c.sock\n')
    await write('drop-ins/README', 'imageServiceEndpoint: unix:///run/d.sock\n')
    const args = ['/usr/bin/kubelet', '--config', join(dir, 'config.yaml'), `--config-dir=${dir}/drop-ins`]
    const ofFiles = { imageServiceEndpoint: 'unix:///run/c.sock', serializeImagePulls: false, maxParallelImagePulls: 3 }
    expect(await find(...args)).toMatchObject(ofFiles)
    expect(await find(...args, '--image-service-endpoint=unix:///run/e.sock')).toMatchObject({
      ...ofFiles,
      imageServiceEndpoint: 'unix:///run/e.sock',
    })
  })

  it("are the kubelet's defaults if there is no file", async () => {
    expect(await find('kubelet')).toMatchObject({ imageServiceEndpoint: undefined, serializeImagePulls: true })
  })

  it.each([[['/usr/local/bin/k3s server']], [['/usr/local/bin/k3s', 'agent', '--token', 'x']], [['k3s-agent']]])(
    'come from the config of a k3s that runs as %j',
    async args => {
      await write(
        'k3s.yaml',
        'image-service-endpoint: unix:///run/k.sock\nkubelet-arg:\n  - serialize-image-pulls=false\n',
      )
      expect(await find(...args)).toMatchObject({
        source: k3sConfig(),
        isK3s: true,
        imageServiceEndpoint: 'unix:///run/k.sock',
        serializeImagePulls: false,
        maxParallelImagePulls: undefined,
      })
    },
  )

  it("come from k3s's drop-ins before its file", async () => {
    await write('k3s.yaml', 'image-service-endpoint: unix:///run/k.sock\nkubelet-arg: [max-parallel-image-pulls=2]\n')
    await mkdir(join(dir, 'k3s.yaml.d'))
    const dropIn = 'image-service-endpoint: unix:///run/l.sock\nkubelet-arg+: [serialize-image-pulls=false]\n'
    await write('k3s.yaml.d/10-own.yaml', dropIn)
    expect(await find('k3s', 'server')).toMatchObject({
      imageServiceEndpoint: 'unix:///run/l.sock',
      serializeImagePulls: false,
      maxParallelImagePulls: 2,
    })
  })

  it('cause only a warning if a k3s hides its flags', async () => {
    expect(await find('/usr/local/bin/k3s server')).toMatchObject({ flagsHidden: true })
    await mkdir(join(dir, 'proc/7'), { recursive: true })
    await write('proc/7/cmdline', '/usr/local/bin/k3s server\0')
    const checks = checkKubelet('/run/x.sock', { proc: join(dir, 'proc'), k3sFiles: k3sFiles() })
    const outcomes = await Promise.all(
      checks.map(async ({ look }) => (await look(AbortSignal.timeout(60_000))).outcome),
    )
    expect(outcomes).toEqual(['warning', 'ok'])
  })

  it.each<[string, string[], string, string, RegExp]>([
    [
      'of RKE2',
      ['/var/lib/rancher/rke2/data/v1.36/bin/kubelet', '--v=2'],
      'failed',
      'bypasses the shim',
      /^RKE2 writes .*kubelet-arg: \[image-service-endpoint=.*rke2\/config\.yaml/,
    ],
    [
      'of k0s',
      ['/var/lib/k0s/bin/kubelet', '--v=2'],
      'failed',
      'bypasses the shim',
      /^k0s writes .*--kubelet-extra-args="--image-service-endpoint=unix:/,
    ],
    [
      'of microk8s',
      ['/snap/microk8s/1/kubelite', '--scheduler-args-file=/x'],
      'warning',
      'inside another program',
      /microk8s\/current\/args\/kubelet/,
    ],
    [
      'of a container, as with Talos',
      ['/usr/local/bin/kubelet', '--config=/none/kubelet.yaml'],
      'warning',
      'cannot be read: ENOENT',
      /--kubelet-config FILE$/,
    ],
    [
      'of an unknown kind',
      ['/usr/bin/hyperkube', 'kubelet'],
      'warning',
      'neither a kubelet nor k3s',
      /--kubelet-config FILE$/,
    ],
  ])('%s are reported with the place to set them', async (_whose, args, outcome, text, wayOut) => {
    await mkdir(join(dir, 'proc/7'), { recursive: true })
    await write('proc/7/cmdline', args.map(arg => `${arg}\0`).join(''))
    const [check] = checkKubelet('/run/x.sock', { proc: join(dir, 'proc'), k3sFiles: k3sFiles() })
    expect(await check?.look(AbortSignal.timeout(60_000))).toMatchObject({
      outcome,
      text: expect.stringContaining(text),
      wayOut: expect.stringMatching(wayOut),
    })
  })

  it('come from the files that a newer k3s writes', async () => {
    await mkdir(join(dir, 'k3s-kubelet'))
    await write(
      'k3s-kubelet/00-k3s-defaults.conf',
      'imageServiceEndpoint: unix:///run/n.sock\nserializeImagePulls: true\n',
    )
    expect(await find('/usr/local/bin/k3s server')).toMatchObject({
      flagsHidden: false,
      imageServiceEndpoint: 'unix:///run/n.sock',
      serializeImagePulls: true,
    })
  })

  it('come from the flags of k3s', async () => {
    const args = ['--image-service-endpoint', 'unix:///run/f.sock', '--kubelet-arg=serialize-image-pulls=false']
    expect(await find('/bin/k3s', 'server', ...args)).toMatchObject({
      imageServiceEndpoint: 'unix:///run/f.sock',
      serializeImagePulls: false,
    })
  })

  it('are unknown if neither runs', async () => {
    expect(await find('/usr/local/bin/k3s', 'kubectl', 'get', 'pods')).toBeUndefined()
    expect(await find('vi', 'kubelet')).toBeUndefined()
  })
})
