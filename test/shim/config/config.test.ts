import { hostname } from 'node:os'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../shim/config/config.ts'

describe('a config', () => {
  it('has every default if it is empty', () => {
    expect(parseConfig('', 'config.yaml')).toMatchObject({
      listen: '/run/enbi-shim/enbi-shim.sock',
      containerd: { address: '/run/containerd/containerd.sock', snapshotter: 'overlayfs' },
      nix: {
        command: 'nix',
        user: 'enbi-shim',
        maxBuilds: 3,
        maxQueuedPerNamespace: 100,
        timeout: 3_600_000,
        options: {},
      },
      import: { layers: 'linked', trustStore: false },
      policy: [],
    })
  })

  it('has Nix collect garbage by shares of the disk or by sizes', () => {
    expect(parseConfig('', 'config.yaml').nix.collectGarbage).toEqual({
      when: 'auto',
      below: { share: 0.2 },
      upTo: { share: 0.25 },
    })
    const { nix } = parseConfig('nix: { collectGarbage: { below: 50GiB, upTo: 33.5% } }', 'config.yaml')
    expect(nix.collectGarbage).toMatchObject({ below: { bytes: 50 * 2 ** 30 }, upTo: { share: 0.335 } })
  })

  it('may have another image service, but not the shim itself', () => {
    const withService = (path: string) => parseConfig(`containerd: { imageService: ${path} }`, 'config.yaml')
    expect(withService('/run/other.sock').containerd.imageService).toBe('/run/other.sock')
    expect(() => withService('/run/enbi-shim/enbi-shim.sock')).toThrow(
      'containerd.imageService: expected the socket of another',
    )
  })

  it('can ask for layers of store paths as tars', () => {
    expect(parseConfig('import: { layers: tar }', 'config.yaml').import.layers).toBe('tar')
  })

  it.each([
    ['not by default', '', false],
    ['with plainPackages', ', plainPackages: true', true],
  ])('wraps plain packages into images by rule: %s', (_when, more, plainPackages) => {
    const { policy } = parseConfig(`policy: [{ namespaces: [a], images: [b], flakes: [c]${more} }]`, 'config.yaml')
    expect(policy).toMatchObject([{ plainPackages }])
  })

  it.each([
    ['20 GiB by default', '', 20 * 2 ** 30],
    ['a size of the rule', ', maxImageSize: 1.5GiB', 1.5 * 2 ** 30],
    ['a size with a unit of Kubernetes', ', maxImageSize: 500Mi', 500 * 2 ** 20],
  ])('limits the size of images by each rule: %s', (_when, more, maxImageSize) => {
    const { policy } = parseConfig(`policy: [{ namespaces: [a], images: [b], flakes: [c]${more} }]`, 'config.yaml')
    expect(policy).toMatchObject([{ maxImageSize }])
  })

  it('can bound the contents of package sets, which are any by default', () => {
    const rule = 'namespaces: [a], images: [b], flakes: ["packages:github:NixOS/*"]'
    const { policy } = parseConfig(`policy: [{ ${rule}, contents: [shell, jq] }, { ${rule} }]`, 'config.yaml')
    expect(policy.map(({ contents }) => contents)).toEqual([['shell', 'jq'], undefined])
  })

  it('need not name flakes in a rule for store paths alone', () => {
    const { policy } = parseConfig('policy: [{ namespaces: [a], images: ["nix:0/nix/store/*"] }]', 'config.yaml')
    expect(policy).toMatchObject([{ images: ['nix:0/nix/store/*'], flakes: [] }])
  })

  it('may be JSON', () => {
    expect(parseConfig('{"nix":{"maxBuilds":7}}', 'config.json').nix.maxBuilds).toBe(7)
  })

  it('passes on Nix settings as text', () => {
    const { nix } = parseConfig('nix: { options: { sandbox: false, cores: 2, substituters: "" } }', 'config.yaml')
    expect(nix.options).toEqual({ sandbox: 'false', cores: '2', substituters: '' })
    const url = parseConfig('nix: { options: { builders: "ssh://builder@host.example:22" } }', 'config.yaml')
    expect(url.nix.options).toEqual({ builders: 'ssh://builder@host.example:22' })
  })

  it('has no cluster by default', () => {
    expect(parseConfig('', 'config.yaml').kubernetes).toBeUndefined()
  })

  it('has every other default of a cluster if it names a kubeconfig', () => {
    const { kubernetes } = parseConfig('kubernetes: { kubeconfig: /etc/kubeconfig }', 'config.yaml')
    expect(kubernetes).toEqual({
      kubeconfig: '/etc/kubeconfig',
      nodeName: hostname().toLowerCase(),
      leaseDuration: 240_000,
      lookupTimeout: 1000,
    })
  })

  it('may have the key unwantedCheck of earlier versions', () => {
    const config = 'kubernetes: { kubeconfig: /etc/kubeconfig, unwantedCheck: 10s }'
    expect(() => parseConfig(config, 'config.yaml')).not.toThrow()
  })

  it('has metrics on the loopback address if it has the section', () => {
    expect(parseConfig('', 'config.yaml').metrics).toBeUndefined()
    expect(parseConfig('metrics: {}', 'config.yaml').metrics).toEqual({ address: { host: '127.0.0.1', port: 9469 } })
  })

  it('is frozen deeply', () => {
    const config = parseConfig('', 'config.yaml')
    expect(Object.isFrozen(config)).toBe(true)
    expect(Object.isFrozen(config.nix.options)).toBe(true)
  })
})

describe('a mistake in a config is named with its key', () => {
  it.each([
    ['an unknown key, with the nearest known one', 'lisen: /x', 'lisen: unknown key, did you mean listen?'],
    ['an unknown key deep inside', 'nix: { maxbuild: 1 }', 'nix.maxbuild: unknown key, did you mean maxBuilds?'],
    [
      'an unknown key of a rule',
      'policy: [{ namespaces: [a], images: [b], flakes: [c], flake: d }]',
      'policy.0.flake: unknown key, did you mean flakes?',
    ],
    [
      'an unknown placeholder',
      'policy: [{ namespaces: [a], images: ["b/{ns}/*"], flakes: [c] }]',
      'policy.0.images.0: unknown placeholder {ns}, the only one is {namespace}',
    ],
    [
      'a placeholder where namespaces are chosen',
      'policy: [{ namespaces: ["{namespace}"], images: [b], flakes: [c] }]',
      'policy.0.namespaces.0: {namespace} stands for something only in images and flakes',
    ],
    ['a missing key', 'policy: [{ namespaces: [a], images: [b] }]', 'policy.0.flakes: missing'],
    [
      'contents without a flake that is a package set',
      'policy: [{ namespaces: [a], images: [b], flakes: ["github:NixOS/*"], contents: [jq] }]',
      'policy.0.contents: it bounds package sets, and none of its flakes begins with packages:',
    ],
    [
      'empty contents',
      'policy: [{ namespaces: [a], images: [b], flakes: ["packages:github:NixOS/*"], contents: [] }]',
      'policy.0.contents: expected at least one pattern',
    ],
    [
      'no flakes although an image is not a store path',
      'policy: [{ namespaces: [a], images: ["nix:0/**", b] }]',
      'policy.0.flakes: missing',
    ],
    [
      'an invalid part of the disk',
      'nix: { collectGarbage: { below: 100% } }',
      'nix.collectGarbage.below: expected a size',
    ],
    [
      'a collection that ends before it begins',
      'nix: { collectGarbage: { upTo: 10% } }',
      'nix.collectGarbage.upTo: expected at least as much as below',
    ],
    ['an invalid duration', 'nix: { timeout: 1 hour }', 'nix.timeout: expected a duration such as 30s, 5m or 1h'],
    [
      'a word for true',
      'policy: [{ namespaces: [a], images: [b], flakes: [c], plainPackages: "yes" }]',
      'policy.0.plainPackages',
    ],
    [
      'a size without a unit',
      'policy: [{ namespaces: [a], images: [b], flakes: [c], maxImageSize: "20" }]',
      'policy.0.maxImageSize: expected a size such as 500MiB or 20GiB',
    ],
    ['a queue without places', 'nix: { maxQueuedPerNamespace: 0 }', 'nix.maxQueuedPerNamespace'],
    ['an unknown layer mode', 'import: { layers: copied }', 'import.layers'],
    ['a number below its minimum', 'nix: { maxBuilds: -1 }', 'nix.maxBuilds'],
    ['a node that builds nothing and shares nothing', 'nix: { build: never }', 'nix.build: expected the section share'],
    ['no places for builds and no section share', 'nix: { maxBuilds: 0 }', 'nix.build: expected the section share'],
    ['the address of a peer that is no URL', 'share: { address: "10.0.0.5:5000" }', 'share.address: expected the URL'],
    ['a store with a password', 'share: { stores: ["https://a:b@cache.example"] }', 'share.stores.0: expected the URL'],
    ['a store that is a path', 'share: { push: /srv/cache }', 'share.push: expected the URL'],
    ['a relative path', 'listen: run/x.sock', 'listen: expected an absolute path'],
    [
      'a token of a forge',
      'nix: { options: { access-tokens: github.com=a } }',
      'nix.options.access-tokens: expected no secret',
    ],
    [
      'a token in addition to those of nix.conf',
      'nix: { options: { extra-access-tokens: a=b } }',
      'expected no secret',
    ],
    [
      'a password in a URL',
      'nix: { options: { substituters: "https://a.example https://u:p@b.example" } }',
      'nix.options.substituters: expected no secret',
    ],
    [
      'a token in a URL',
      'nix: { options: { substituters: "https://ghp_x@b.example" } }',
      'nix.options.substituters: expected no secret',
    ],
    [
      'the content of a netrc file',
      'nix: { options: { netrc-file: machine a.example login b password c } }',
      'nix.options.netrc-file: expected the path of a file. expected no secret',
    ],
    ['a Nix setting that is an option', 'nix: { options: { --x: y } }', 'expected the name of a Nix setting'],
    [
      'a name that no node can have',
      'kubernetes: { nodeName: Worker_1 }',
      'kubernetes.nodeName: expected the name of a node',
    ],
    [
      'a Lease that outlives its node',
      'kubernetes: { leaseDuration: 11m }',
      'kubernetes.leaseDuration: expected at most 10m',
    ],
    [
      'an unknown key of the cluster',
      'kubernetes: { kubeConfig: /x }',
      'kubernetes.kubeConfig: unknown key, did you mean kubeconfig?',
    ],
    ['an address without a port', 'metrics: { address: localhost }', 'metrics.address: expected HOST:PORT'],
    ['text that is not YAML', 'a: [', 'config.yaml'],
  ])('%s', (_name, text, message) => {
    expect(() => parseConfig(text, 'config.yaml')).toThrow(
      expect.objectContaining({ code: 'ConfigInvalid', message: expect.stringContaining(message) }),
    )
  })

  it('together with all others', () => {
    expect(() => parseConfig('lisen: /x\nstatedir: /y', 'config.yaml')).toThrow(/lisen[\s\S]*statedir/)
  })
})
