import { generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { checkSignature } from '../../../../shim/nix/binary-cache/check-narinfo.ts'
import { type NarInfo, parseNarInfo } from '../../../../shim/nix/binary-cache/narinfo.ts'
import { fingerprintOf, isSignedBy } from '../../../../shim/nix/binary-cache/signatures.ts'

const HASH = '0'.repeat(32)
const LINES = {
  StorePath: `/nix/store/${HASH}-app`,
  URL: 'nar/x.nar',
  Compression: 'none',
  NarHash: `sha256:${'1'.repeat(52)}`,
  NarSize: '120',
  References: `${HASH}-libc ${HASH}-app`,
}

function narinfo(changes: Readonly<Record<string, string | undefined>> = {}, more = ''): string {
  const lines = Object.entries({ ...LINES, ...changes }).filter(([, value]) => value !== undefined)
  return `${lines.map(([key, value]) => `${key}: ${value}\n`).join('')}${more}`
}

function parsed(text = narinfo()): NarInfo {
  const info = parseNarInfo(text)
  if (info === undefined) throw new Error('no narinfo')
  return info
}

describe('a narinfo', () => {
  it('is parsed, with its references in the order in which Nix signs them', () => {
    expect(parseNarInfo(narinfo({}, 'Sig: a:x\nSig: b:y\n'))).toEqual({
      storePath: LINES.StorePath,
      narHash: LINES.NarHash,
      narSize: 120,
      references: [`/nix/store/${HASH}-app`, `/nix/store/${HASH}-libc`],
      signatures: ['a:x', 'b:y'],
      isContentAddressed: false,
    })
  })

  it.each([
    ['has no references', { References: '' }],
    ['is content-addressed', { CA: 'fixed:r:sha256:abc' }],
    ['has unknown keys', { Future: 'yes', '': '' }],
  ])('is parsed if it %s', (_, changes) => {
    expect(parseNarInfo(narinfo(changes))).toBeDefined()
  })

  it.each([
    ['is empty', ''],
    ['is a web page', '<html>\n</html>'],
    ['has no path', narinfo({ StorePath: undefined })],
    ['has two paths', narinfo({}, `StorePath: ${LINES.StorePath}2\n`)],
    ['has a path outside of the store', narinfo({ StorePath: '/etc/passwd' })],
    ['has a reference outside of the store', narinfo({ References: '../../etc/passwd' })],
    ['has too many references', narinfo({ References: `${HASH}-x `.repeat(1001) })],
    ['has no hash', narinfo({ NarHash: undefined })],
    ['has another kind of hash', narinfo({ NarHash: `md5:${'1'.repeat(32)}` })],
    ['has a negative size', narinfo({ NarSize: '-1' })],
    ['has a huge size', narinfo({ NarSize: '9'.repeat(30) })],
  ])('is invalid if it %s', (_, text) => {
    expect(parseNarInfo(text)).toBeUndefined()
  })
})

describe('a signature', () => {
  const info = parsed()
  const good = makeKey('worker-3')
  const other = makeKey('worker-3')
  const signed = { ...info, signatures: [good.sign(info)] }

  it('is verified with the key of its name, among others', () => {
    expect(isSignedBy(signed, [makeKey('cache').publicKey, other.publicKey, good.publicKey])).toBe(true)
  })

  it.each([
    ['by another key of that name', signed, [other.publicKey]],
    ['by a key with another name', signed, [good.publicKey.replace('worker-3', 'worker-4')]],
    ['for another path', { ...signed, storePath: `/nix/store/${HASH}-evil` }, [good.publicKey]],
    ['for another hash', { ...signed, narHash: `sha256:${'2'.repeat(52)}` }, [good.publicKey]],
    ['for another size', { ...signed, narSize: 121 }, [good.publicKey]],
    ['for other references', { ...signed, references: [] }, [good.publicKey]],
    ['that is missing', info, [good.publicKey]],
    ['that is empty', { ...info, signatures: ['worker-3:'] }, [good.publicKey]],
    ['without a name', { ...info, signatures: [good.sign(info).slice('worker-3'.length)] }, [good.publicKey]],
    ['that is no base 64', { ...info, signatures: ['worker-3:§§§'] }, [good.publicKey]],
    ['if no key is trusted', signed, []],
    ['if the trusted key is no key', signed, ['worker-3:AAAA', 'worker-3', '']],
  ])('is refused %s', (_, given, keys) => {
    expect(isSignedBy(given, keys)).toBe(false)
    expect(() => checkSignature(given, { keys, isRequired: true, isFixed: true })).toThrow(
      /^it (?:has no signature|is signed by)/,
    )
  })

  it('is not needed if Nix asks for none, or can verify the content', () => {
    expect(() => checkSignature(info, { keys: [], isRequired: false, isFixed: false })).not.toThrow()
    const addressed = parsed(narinfo({ CA: 'fixed:r:sha256:abc' }))
    expect(() => checkSignature(addressed, { keys: [], isRequired: true, isFixed: true })).not.toThrow()
  })

  it('is needed if the path cannot come from the content, whatever the cache says', () => {
    const addressed = parsed(narinfo({ CA: 'fixed:r:sha256:abc' }))
    const policy = { keys: [], isRequired: true, isFixed: false }
    expect(() => checkSignature(addressed, policy)).toThrow('it has no signature')
  })
})

function makeKey(name: string) {
  const { privateKey } = generateKeyPairSync('ed25519')
  const { x = '' } = privateKey.export({ format: 'jwk' })
  return {
    publicKey: `${name}:${Buffer.from(x, 'base64url').toString('base64')}`,
    sign: (info: NarInfo) => `${name}:${sign(null, Buffer.from(fingerprintOf(info)), privateKey).toString('base64')}`,
  }
}
