import { describe, expect, it } from 'vitest'
import { checkPeerUrl, withCompression } from '../../../../shim/nix/binary-cache/copy-args.ts'

describe('the URL of a store that gets paths', () => {
  it.each([
    ['file:///srv/cache', 'file:///srv/cache?compression=zstd'],
    ['s3://bucket?endpoint=s3.example&region=eu', 's3://bucket?endpoint=s3.example&region=eu&compression=zstd'],
    ['https://cache.example/', 'https://cache.example/?compression=zstd'],
    ['s3://bucket?compression=none', 's3://bucket?compression=none'],
    ['ssh-ng://builder@cache.example', 'ssh-ng://builder@cache.example'],
  ])('%j names a fast compression: %j', (url, expected) => {
    expect(withCompression(url)).toBe(expected)
  })
})

describe('the address of a node', () => {
  it.each(['http://10.0.0.5:5000', 'https://worker-3.example/cache', 'http://[fd00::5]:5000/'])('%j is used', url =>
    expect(() => checkPeerUrl(url)).not.toThrow(),
  )

  it.each([
    'file:///etc',
    'ssh://worker-3',
    'ssh-ng://worker-3',
    's3://bucket',
    'local?root=/tmp',
    'daemon',
    '--no-check-sigs',
    'http://10.0.0.5?trusted=1',
    'http://10.0.0.5?',
    'http://10.0.0.5#x',
    'http://user:secret@10.0.0.5',
    'http://10.0.0.5/ --no-check-sigs',
    '',
  ])('%j is refused', url => {
    expect(() => checkPeerUrl(url)).toThrow('its address is not the plain URL')
  })
})
