import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { readGuides } from '../docs/code-blocks.ts'
import { type Bed, startBed } from '../node/bed.ts'
import { evaluateMachines, evaluateText, theMachine } from './evaluate.ts'

const ENDPOINT = 'unix:///run/enbi-shim/enbi-shim.sock'
let bed: Bed
let machines: Awaited<ReturnType<typeof evaluateMachines>>

beforeAll(async () => {
  bed = await startBed({ without: ['containerd', 'nix'], daemon: false })
  machines = await evaluateMachines(bed)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

const machine = (name: string) => theMachine(machines, name)

describe('the kubelet on NixOS', () => {
  it('pulls through the shim, several images in parallel', () => {
    const { kubelet, k3s } = machine('kubelet')
    expect(kubelet).toEqual({ imageServiceEndpoint: ENDPOINT, serializeImagePulls: false })
    expect(k3s).toEqual({ extraFlags: [], extraKubeletConfig: {} })
  })

  it('keeps its other settings', () => {
    expect(machine('kubelet-own-settings').kubelet).toMatchObject({ maxPods: 200 })
    expect(machine('serialized-pulls').kubelet).toMatchObject({ serializeImagePulls: true })
  })

  it('is left unchanged on request, while the shim still runs', () => {
    expect(machine('kubelet-not-wired')).toMatchObject({
      kubelet: {},
      services: { 'enbi-shim': { wantedBy: ['multi-user.target'] } },
    })
  })
})

test('k3s on NixOS pulls through the shim, several images in parallel, and keeps its other flags', () => {
  const { kubelet, k3s } = machine('k3s-own-flags')
  expect(k3s.extraFlags.toSorted()).toEqual(['--disable=traefik', `--image-service-endpoint=${ENDPOINT}`])
  expect(k3s.extraKubeletConfig).toEqual({ serializeImagePulls: false })
  expect(kubelet).toEqual({})
})

describe('the shim on NixOS', () => {
  it.each([
    ['kubelet', 'kubelet'],
    ['k3s', 'k3s'],
  ])('starts before its caller, and can stop without stopping the caller: %s', (name, service) => {
    const { services, sockets } = machine(name)
    const asking = services[service]
    expect(asking).toMatchObject({ wants: ['enbi-shim.service'], after: ['enbi-shim.service'], requires: [] })
    for (const unit of [services['enbi-shim'], sockets['enbi-shim']])
      expect(unit?.before).toContain(`${service}.service`)
    expect(services['enbi-shim']?.requires).toEqual(['enbi-shim.socket'])
  })
})

describe('a NixOS configuration of a guide', async () => {
  const blocks = (await readGuides()).filter(({ language }) => language === 'nix')

  it.each(blocks)('at $place is an expression', async ({ text }) => {
    await bed.run('nix-instantiate', ['--parse', '-E', text])
  })

  it.each(blocks.filter(({ tested }) => tested === 'nixos'))('at $place has no mistake', async ({ text }) => {
    const { assertions, warnings, services } = await evaluateText(bed, text)
    expect([assertions, warnings]).toEqual([[], []])
    expect(services['enbi-shim']).toBeDefined()
  })
})

describe('a mistake in the NixOS options', () => {
  it.each([
    [
      'no-containerd',
      /^services\.enbi-shim needs a containerd: set virtualisation\.containerd\.enable, or services\.k3s/,
    ],
    ['both-wirings', /kubelet\.enable and services\.enbi-shim\.k3s\.enable exclude each other/],
    ['k3s-flags-as-text', /^services\.k3s\.extraFlags is a string, .* make it a list of strings\.$/],
    ['firewall-without-metrics', /^services\.enbi-shim\.openFirewallForMetrics opens .* the shim serves no metrics/],
    ['kubeconfig-in-store', /^services\.enbi-shim\.kubeconfigFile is in the store, which everybody can read/],
    [
      'kubeconfig-in-home',
      /^services\.enbi-shim\.kubeconfigFile is \/root\/\.kube\/config, which the service cannot see/,
    ],
    ['credential-in-store', /^services\.enbi-shim\.credentials\.sshKeyFile is in the store, which everybody can read/],
    ['credential-in-home', /credentials\.knownHostsFile is \/root\/\.ssh\/known_hosts, which the service cannot see/],
    ['controller-without-kubeconfig', /^services\.enbi-shim\.controller\.enable needs .*controller\.kubeconfigFile\.$/],
    ['controller-kubeconfig-in-store', /^services\.enbi-shim\.controller\.kubeconfigFile is in the store/],
    ['share-without-harmonia', /^services\.enbi-shim\.share needs services\.harmonia, which this nixpkgs lacks/],
    ['share-key-in-store', /share\.secretKeyFile is \/nix\/store\/abc-key: keep it where .* only root can read it/],
    ['share-public-key-in-home', /share\.publicKeyFile is \/root\/public-key, which the services cannot see/],
    ['share-without-name', /^services\.enbi-shim\.share needs a name for this node: set networking\.hostName/],
    ['share-for-both', /share\.firewallInterfaces and firewallSources exclude each other\.$/],
    ['share-two-keys-of-one-name', /^services\.enbi-shim\.share\.trustedKeys has two keys with one name/],
  ])('fails the evaluation with one message: %s', (name, message) => {
    expect(machines[name]).toEqual({ assertions: [expect.stringMatching(message)], warnings: [] })
  })

  it.each([
    ['state-in-memory', /^\/var\/lib\/enbi-shim is in memory: .*stateDir persist\.$/],
    ['no-policy', /^services\.enbi-shim\.policy has no rule: nothing will be built\.$/],
    [
      'not-wired',
      /^services\.enbi-shim is not connected to a kubelet .* imageServiceEndpoint to unix:\/\/\/run\/enbi-shim/,
    ],
    ['kubelet-not-wired', /^services\.enbi-shim is not connected to a kubelet/],
    ['kubelet-not-enabled', /kubelet\.enable has no effect without services\.kubernetes\.kubelet\.enable\.$/],
    ['k3s-not-enabled', /k3s\.enable has no effect without services\.k3s\.enable\.$/],
    ['serialized-pulls', /^services\.kubernetes\.kubelet\.extraConfig makes the kubelet pull one image at a time/],
    ['limited-pulls', /^services\.kubernetes\.kubelet\.extraConfig sets maxParallelImagePulls/],
    ['serialized-pulls-of-k3s', /^services\.k3s\.extraKubeletConfig makes the kubelet pull one image at a time/],
    ['limited-pulls-of-k3s', /^services\.k3s\.extraKubeletConfig sets maxParallelImagePulls/],
    ['firewall-for-local-metrics', /^services\.enbi-shim\.openFirewallForMetrics has no effect: .* 127\.0\.0\.1:9469,/],
    ['share-without-keys', /share\.trustedKeys is empty: this node copies nothing from other nodes\. `enbi-shim keys/],
    [
      'share-without-cluster',
      /^services\.enbi-shim\.share has no API server .* services\.enbi-shim\.kubeconfigFile\.$/,
    ],
    ['share-key-in-memory', /^\/var\/lib\/enbi-share\/secret-key is in memory: .* Let its folder persist\.$/],
    ['share-signed-by-harmonia', /^services\.harmonia has signKeyPaths: it signs everything that it serves/],
    ['share-at-another-port', /^services\.harmonia listens at \[::\]:8080, but .*share\.port is 5000\.$/],
    ['share-behind-firewall', /firewallInterfaces and firewallSources have no effect: openFirewall is false\.$/],
    ['two-disks', /^\/nix\/store and \/var\/lib\/containerd are on different file systems: layers will be copied/],
  ])('that lets the node work causes one warning: %s', (name, message) => {
    expect(machines[name]).toMatchObject({ assertions: [], warnings: [expect.stringMatching(message)] })
  })

  it('is not reported for valid options', () => {
    const complaints = Object.entries(machines).filter(
      ([, { assertions, warnings }]) => assertions.length + warnings.length > 0,
    )
    expect(complaints.map(([name]) => name).toSorted()).toEqual(
      [
        ...['credential-in-store', 'credential-in-home'],
        ...['no-containerd', 'both-wirings', 'k3s-flags-as-text', 'firewall-without-metrics', 'kubeconfig-in-store'],
        ...['kubeconfig-in-home', 'controller-without-kubeconfig', 'controller-kubeconfig-in-store', 'no-policy'],
        ...['not-wired', 'kubelet-not-wired', 'kubelet-not-enabled', 'k3s-not-enabled', 'serialized-pulls'],
        ...[
          'limited-pulls',
          'limited-pulls-of-k3s',
          'serialized-pulls-of-k3s',
          'two-disks',
          'firewall-for-local-metrics',
          'state-in-memory',
          'share-without-harmonia',
          'share-key-in-store',
          'share-public-key-in-home',
          'share-without-name',
          'share-for-both',
          'share-two-keys-of-one-name',
          'share-without-keys',
          'share-key-in-memory',
          'share-without-cluster',
          'share-signed-by-harmonia',
          'share-at-another-port',
          'share-behind-firewall',
        ],
      ].toSorted(),
    )
  })
})
