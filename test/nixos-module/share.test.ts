import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { type Bed, startBed } from '../node/bed.ts'
import { evaluateMachines, theMachine } from './evaluate.ts'

const DEFAULT_PATHS = ['-/var/log', '-/var/lib/containerd']

let bed: Bed
let machines: Awaited<ReturnType<typeof evaluateMachines>>

beforeAll(async () => {
  bed = await startBed({ without: ['containerd', 'nix'], daemon: false })
  machines = await evaluateMachines(bed)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

const machine = (name: string) => theMachine(machines, name)
const keyUnit = (name: string) => {
  const unit = machine(name).services['enbi-share-key']
  if (unit === undefined) throw new Error(`${name} makes no key`)
  return unit
}

describe('a NixOS node that shares its builds', () => {
  it('signs what it builds, and trusts the keys of the administrator', () => {
    expect(machine('share').nix).toMatchObject({
      'secret-key-files': ['/var/lib/enbi-share/secret-key'],
      'trusted-public-keys': ['worker-2.enbi-1:vcjFmc4ySzLbxTjmjNbbqwMvLdGDoTo3SvlUVWzOWOk='],
    })
    expect(machine('kubelet').nix).not.toHaveProperty('secret-key-files')
    expect(machine('kubelet').services).not.toHaveProperty('enbi-share-key')
  })

  it.each(['share', 'share-with-older-harmonia'])('serves its store by harmonia without a key of its own: %s', name => {
    const harmonia = { enable: true, settings: { bind: '[::]:5000' }, signKeyPaths: [] }
    expect(machine(name).harmonia).toMatchObject(harmonia)
  })

  it("can serve at another port than the default of harmonia's module", () => {
    expect(machine('share-for-interfaces').harmonia).toMatchObject({ settings: { bind: '[::]:5001', priority: 50 } })
  })

  it('can leave the serving to another server', () => {
    expect(machine('share-by-another-server')).toMatchObject({ harmonia: {}, firewall: { allowedTCPPorts: [] } })
  })

  it.each([
    ['share', { allowedTCPPorts: [5000], interfaces: {}, extraCommands: '', extraInputRules: '' }],
    ['share-for-interfaces', { allowedTCPPorts: [], interfaces: { wg0: { allowedTCPPorts: [5001] } } }],
    [
      'share-for-sources',
      {
        allowedTCPPorts: [],
        extraCommands:
          'iptables -A nixos-fw -p tcp --dport 5000 -s 10.0.0.0/24 -j nixos-fw-accept\nip6tables -A nixos-fw -p tcp --dport 5000 -s fd00::/64 -j nixos-fw-accept\n',
        extraInputRules: '',
      },
    ],
    [
      'share-for-sources-by-nftables',
      {
        allowedTCPPorts: [],
        extraCommands: '',
        extraInputRules: 'ip saddr 10.0.0.0/24 tcp dport 5000 accept\nip6 saddr fd00::/64 tcp dport 5000 accept\n',
      },
    ],
  ])('opens its port for those who may copy: %s', (name, firewall) => {
    expect(machine(name).firewall).toMatchObject(firewall)
  })

  it('has its key before anything is built or published', () => {
    const { services } = machine('share')
    for (const name of ['nix-daemon', 'enbi-shim'])
      expect(services[name]).toMatchObject({
        wants: expect.arrayContaining(['enbi-share-key.service']),
        after: expect.arrayContaining(['enbi-share-key.service']),
      })
    expect(keyUnit('share').before).toEqual(['nix-daemon.service', 'enbi-shim.service'])
  })

  it('can write its public key to another folder', () => {
    expect(keyUnit('share-public-key-elsewhere').serviceConfig.ReadWritePaths).toEqual(['-/etc/keys'])
    expect(keyUnit('share').serviceConfig).not.toHaveProperty('ReadWritePaths')
  })

  it('can push to a folder, which belongs to the build user', () => {
    const { services, tmpfiles } = machine('share-pushed-to-folder')
    expect(services['enbi-shim']?.serviceConfig.ReadWritePaths).toEqual([...DEFAULT_PATHS, '-/srv/cache'])
    expect(tmpfiles.rules).toContain('d /srv/cache 0755 enbi-shim -')
    const elsewhere = machine('share-pushed-to-server').services['enbi-shim']
    expect(elsewhere?.serviceConfig.ReadWritePaths).toEqual(DEFAULT_PATHS)
  })

  it('hides the secret key from the shim, which does not need it', () => {
    const hidden = machine('share').services['enbi-shim']?.serviceConfig.InaccessiblePaths
    expect(hidden).toContain('-/var/lib/enbi-share/secret-key')
    expect(hidden).toContain('-/run/enbi-shim/view/root/var/lib/enbi-share/secret-key')
  })
})

describe('the key of a NixOS node', () => {
  const run = (name: string, folder: string) => {
    const script = keyUnit(name).script.replaceAll('/var/lib/enbi-share', folder)
    return bed.run('sh', ['-e', '-c', `umask 077; mkdir -p ${folder}; chmod 755 ${folder}; ${script}`])
  }

  it('is made once, on the node, readable by root alone, with its public key beside it', async () => {
    const folder = join(bed.dir, 'share')
    await run('share', folder)
    const read = async () => [
      (await bed.run('cat', [join(folder, 'secret-key')])).stdout,
      (await bed.run('cat', [join(folder, 'public-key')])).stdout,
    ]
    const [secret, published] = await read()
    expect(secret).toMatch(/^worker-1\.enbi-1:\S{88}$/)
    expect(published).toMatch(/^worker-1\.enbi-1:\S{43}=$/)
    const modeOf = async (name: string) => (await stat(join(folder, name))).mode & 0o777
    expect(await modeOf('secret-key')).toBe(0o600)
    expect(await modeOf('public-key')).toBe(0o444)
    await run('share', folder)
    expect(await read()).toEqual([secret, published])
  })

  test('of the administrator is never made: without it, the unit fails', async () => {
    await expect(run('share-own-key', join(bed.dir, 'own'))).rejects.toThrow('/run/secrets/nix-key')
  })
})
