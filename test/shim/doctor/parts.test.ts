import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { isOlder } from '../../../lib/text/versions.ts'
import { parseConfig } from '../../../shim/config/config.ts'
import { checkCgroup, parseCgroup } from '../../../shim/doctor/check-cgroup.ts'
import { checkCredentials } from '../../../shim/doctor/check-credentials.ts'
import { checkDisk } from '../../../shim/doctor/check-disk.ts'
import { checkState } from '../../../shim/doctor/check-state.ts'
import { checkKubelet } from '../../../shim/doctor/kubelet/check-kubelet.ts'
import { findKubelet } from '../../../shim/doctor/kubelet/find-kubelet.ts'
import { parseFlags } from '../../../shim/doctor/kubelet/settings.ts'
import { checkNix } from '../../../shim/doctor/nix/check-nix.ts'
import { runChecks } from '../../../shim/doctor/run-checks.ts'
import '../../lanes/needs-root.ts'

describe('a version', () => {
  it.each([
    ['1.5.18', '1.6', true],
    ['1.6.20~ds1', '1.6', false],
    ['2.4.2', '1.6', false],
    ['2.7.9', '2.8', true],
    ['2.26.3', '2.8', false],
    ['2.8', '2.8', false],
    ['3', '2.8', false],
    ['1.30.4+k3s1', '1.31', true],
    ['unknown', '1.6', false],
  ])('%s is older than %s: %s', (version, than, older) => {
    expect(isOlder(version, than)).toBe(older)
  })
})

describe('flags', () => {
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

describe('the cgroup of a process', () => {
  it.each([
    [
      '0::/system.slice/enbi-shim.service\n',
      { version: 'cgroup v2', root: '', path: '/system.slice/enbi-shim.service', file: 'memory.max' },
    ],
    [
      '4:memory:/a\n3:cpu,cpuacct:/b\n0::/\n',
      { version: 'cgroup v1', root: 'memory', path: '/a', file: 'memory.limit_in_bytes' },
    ],
    ['1:name=systemd:/a\n', undefined],
    ['', undefined],
  ])('%j', (text, place) => {
    expect(parseCgroup(text)).toEqual(place)
  })
})

describe('the state folder', () => {
  it('is reported with the size of source clones', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'enbi-doctor-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    const clone = { name: 'a', owners: ['team'], bytes: 3 * 1024 ** 2, usedAt: 1 }
    await writeFile(join(dir, 'caches.json'), JSON.stringify([clone, { ...clone, name: 'b' }]))
    const { nix } = parseConfig('nix: { user: null }', 'config.yaml')
    const found = await checkState({ stateDir: dir, nix }).look(new AbortController().signal)
    expect(found).toMatchObject({
      outcome: 'ok',
      text: expect.stringMatching(/; clones of sources take 6\.\d MB of at most \d/),
    })
  })
})

describe('doctor reports', () => {
  const signal = AbortSignal.timeout(60_000)

  it('a folder of settings that others can write to', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'enbi-doctor-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    const ssh = join(dir, 'build-home/.ssh')
    await mkdir(ssh, { recursive: true })
    await chmod(ssh, 0o777)
    const { nix } = parseConfig('nix: { user: null }', 'config.yaml')
    expect(await checkState({ stateDir: dir, nix }).look(signal)).toEqual({
      outcome: 'failed',
      text: `${ssh} can be written to by other users (mode 777)`,
      wayOut: `run chmod go-w ${ssh}`,
    })
  })

  it('a missing credential file', async () => {
    const some = parseConfig('nix: { credentials: { netrc: /dev/null/x, sshKey: /none/key } }', 'config.yaml')
    expect(await checkCredentials(some).look(signal)).toMatchObject({
      outcome: 'failed',
      text: expect.stringMatching(/ENOTDIR.*; ENOENT: .*'\/none\/key'/),
    })
    const none = parseConfig('', 'config.yaml')
    expect(await checkCredentials(none).look(signal)).toEqual({ outcome: 'ok', text: 'the config has no credentials' })
  })
})

describe('on a bare machine', () => {
  const signal = AbortSignal.timeout(60_000)

  it('a missing build user is reported once, and does not hide that nix is missing', async () => {
    const { nix } = parseConfig('nix: { user: nobody-here, command: nix-nowhere }', 'config.yaml')
    const checks = checkNix({ stateDir: '/none', nix }, { env: {}, proc: '/proc' })
    const found = await Promise.all(checks.map(async ({ name, look }) => ({ name, ...(await look(signal)) })))
    expect(found.filter(({ outcome }) => outcome === 'failed')).toEqual([
      {
        ...{ name: 'build user', outcome: 'failed', text: expect.stringContaining('no user "nobody-here"') },
        wayOut: 'useradd --system --user-group nobody-here, or set nix.user',
      },
      {
        name: 'nix',
        outcome: 'failed',
        text: 'nix cannot be run: there is no program nix-nowhere',
        wayOut: expect.anything(),
      },
    ])
    const skipped = found.filter(({ outcome }) => outcome === 'skipped')
    expect(new Set(skipped.map(({ text }) => text))).toEqual(new Set(['the user nobody-here does not exist']))
    expect(skipped).toHaveLength(found.length - 2)
  })

  it('the disk check uses the folder above a missing one', async () => {
    const containerd = { address: '/none', snapshotter: 'overlayfs' }
    const { text } = await checkDisk({ stateDir: '/none/state', containerd }).look(signal)
    expect(text).toMatch(/^\/none\/state: \d.* free/)
  })

  it('a state folder that can be created is fine', async () => {
    const { nix } = parseConfig('nix: { user: null }', 'config.yaml')
    expect(await checkState({ stateDir: '/none/state', nix }).look(signal)).toEqual({
      outcome: 'ok',
      text: '/none/state does not exist yet: the first build creates it',
    })
  })

  /** Outside of comments. */
  const POINTER = /^(?!\s*(?:\/\/|\/?\*)).*docs\/[\w/-]+\.md/m

  it('no message points to a page, because the package has no pages', async () => {
    const folder = join(import.meta.dirname, '../../../shim')
    for (const name of await readdir(folder, { recursive: true })) {
      if (name.endsWith('.ts')) expect(await readFile(join(folder, name), 'utf8'), name).not.toMatch(POINTER)
    }
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
    const outcomes = await Promise.all(checks.map(async ({ look }) => (await look(AbortSignal.timeout(5000))).outcome))
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
    expect(await check?.look(AbortSignal.timeout(5000))).toMatchObject({
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

describe('a check that throws', () => {
  it('fails, and the others continue', async () => {
    const broken = () => {
      throw new Error('the disk is on fire')
    }
    const found = []
    const checks = [
      { name: 'one', look: broken },
      { name: 'two', look: () => ({ outcome: 'ok', text: 'fine' }) as const },
    ]
    for await (const finding of runChecks(checks)) found.push(finding)
    expect(found).toEqual([
      { check: 'one', outcome: 'failed', text: 'the disk is on fire', wayOut: expect.any(String) },
      { check: 'two', outcome: 'ok', text: 'fine' },
    ])
  })
})

describe('the memory of the shim', () => {
  const check = async (limits: Readonly<Record<string, string>>) => {
    const dir = await mkdtemp(join(tmpdir(), 'enbi-doctor-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    await mkdir(join(dir, 'proc/9'), { recursive: true })
    await writeFile(join(dir, 'proc/9/cmdline'), 'node\0/opt/dist/shim/main.js\0serve\0--config\0/x\0')
    await writeFile(join(dir, 'proc/9/cgroup'), '0::/system.slice/enbi-shim.service\n')
    for (const [folder, limit] of Object.entries(limits)) {
      await mkdir(join(dir, 'cgroup', folder), { recursive: true })
      await writeFile(join(dir, 'cgroup', folder, 'memory.max'), `${limit}\n`)
    }
    return checkCgroup(join(dir, 'proc'), join(dir, 'cgroup')).look(AbortSignal.timeout(5000))
  }

  it.each([
    ['is not limited', { 'system.slice/enbi-shim.service': 'max', 'system.slice': 'max' }, 'ok'],
    ['is limited to enough', { 'system.slice/enbi-shim.service': '4294967296' }, 'ok'],
    ['is limited to little', { 'system.slice/enbi-shim.service': '268435456' }, 'warning'],
    ['is limited above it', { 'system.slice/enbi-shim.service': 'max', 'system.slice': '268435456' }, 'warning'],
  ])('%s', async (_what, limits, outcome) => {
    expect(await check(limits)).toMatchObject({ outcome })
  })
})
