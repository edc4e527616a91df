import { describe, expect, it } from 'vitest'
import { knownOutputOf } from '../../../../shim/nix/evaluate/derivation-file.ts'

const HASH = '0'.repeat(32)
const OUT = `/nix/store/${HASH}-app`
const DOC = `/nix/store/${HASH}-app-doc`
const SHA256 = 'a'.repeat(64)
const REST = `,[("/nix/store/${HASH}-base.drv",["out"])],[],"x86_64-linux","/bin/sh",["-c","echo"],[("out","${OUT}")])`

const derivation = (...outputs: readonly string[]) => `Derive([${outputs.join(',')}]${REST}`

describe('the output path of a derivation', () => {
  it.each([
    ['one output', derivation(`("out","${OUT}","","")`), false],
    ['two outputs', derivation(`("doc","${DOC}","","")`, `("out","${OUT}","","")`), false],
    ['fixed content', derivation(`("out","${OUT}","sha256","${SHA256}")`), true],
    ['fixed content of a folder', derivation(`("out","${OUT}","r:sha256","${SHA256}")`), true],
  ])('is read from a file with %s', (_, text, isFixed) => {
    expect(knownOutputOf(text, 'out')).toEqual({ path: OUT, isFixed })
  })

  it.each([
    ['is empty', ''],
    ['is something else', `Derivation([("out","${OUT}","","")]${REST}`],
    ['has no such output', derivation(`("doc","${DOC}","","")`)],
    ['has no outputs', derivation()],
    ['is content-addressed', derivation('("out","","r:sha256","")')],
    ['is content-addressed, but has a path', derivation(`("out","${OUT}","r:sha256","")`)],
    ['is impure', derivation('("out","","r:sha256","impure")')],
    ['is impure, but has a path', derivation(`("out","${OUT}","r:sha256","impure")`)],
    ['has inputs that are content-addressed', derivation('("out","","","")')],
    ['is dynamic', `DrvWithVersion("xp-dyn-drv",[("out","${OUT}","","")]${REST}`],
    ['names a file in a store path', derivation(`("out","${OUT}/bin","","")`)],
    ['names a path outside of the store', derivation('("out","/etc/passwd","","")')],
    ['names a path with dots', derivation(`("out","/nix/store/../store/${HASH}-app","","")`)],
    ['has an escape in a path', derivation(`("out","/nix/store/${HASH}-a\\"pp","","")`)],
    ['is cut', derivation(`("out","${OUT}","","")`).slice(0, 30)],
    ['is cut after an output', `Derive([("out","${OUT}","","")`],
    ['has no comma between outputs', `Derive([("out","${OUT}","","")("doc","${DOC}","","")]${REST}`],
    ['has a comma too many', `Derive([,("out","${OUT}","","")]${REST}`],
    ['has a hash without an algorithm', derivation(`("out","${OUT}","","${SHA256}")`)],
    ['has endless names', `Derive([("${'a'.repeat(60_000)}`],
    ['nests endlessly', 'Derive(['.repeat(8_000)],
  ])('is unknown if the file %s', (_, text) => {
    expect(knownOutputOf(text, 'out')).toBeUndefined()
  })

  it('is found among thousands of outputs', () => {
    const many = Array.from({ length: 2_000 }, (_, index) => `("o${index}","","","")`)
    expect(knownOutputOf(derivation(...many, `("out","${OUT}","","")`), 'out')).toEqual({ path: OUT, isFixed: false })
  })
})
