import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { annotationName } from '../../../../recipes/annotations.ts'
import { hostSystem } from '../../../../recipes/system.ts'
import { type Bed, startBed } from '../../../node/bed.ts'
import { recipePull } from '../../../node/recipe-pull.ts'
import { countLogged } from '../../pull/builds.ts'

const POLICY = { namespaces: ['*'], images: ['**'], flakes: ['path:/**'] }

let bed: Bed
let flakeUrl: string
beforeAll(async () => {
  bed = await startBed()
  flakeUrl = await writeFlake('packages')
})
afterAll(() => bed[Symbol.asyncDispose]())

const FLAKE = `{
  outputs = _: let
    make = name: script: derivation {
      inherit name;
      system = "${hostSystem()}";
      builder = "/bin/sh";
      PATH = "/usr/bin:/bin";
      args = [ "-euc" script ];
    };
    shell = make "shell" "mkdir -p $out/bin; cp /usr/bin/busybox $out/bin/busybox";
    greeter = make "greeter" ''
      mkdir -p $out/bin $out/share
      echo welcome > $out/share/text
      printf '#!\${shell}/bin/busybox sh\\n\${shell}/bin/busybox cat /share/text "$@"\\n' > $out/bin/greet
      cp $out/bin/greet $out/bin/other
      chmod 755 $out/bin/*
    '';
    nested = make "nested" "mkdir $out; cp -r \${greeter} $out/sub";
    tools = make "tools" ''
      mkdir -p $out/bin $out/etc/ssl/certs
      cp /usr/bin/busybox $out/bin/busybox
      for name in sh env ls; do ln -s busybox $out/bin/$name; done
      cp $out/bin/busybox "$(printf '%s/bin/odd-\\377' $out)"
      touch $out/bin/.wh.env $out/oci-layout $out/etc/hosts $out/etc/ssl/certs/ca-bundle.crt
    '';
  in {
    packages.${hostSystem()} = {
      inherit tools;
      told = greeter // { meta.mainProgram = "greet"; };
      untold = greeter;
      below = make "below" "ln -s \${nested}/sub $out" // { meta.mainProgram = "greet"; };
      configured = greeter // { imageConfig = { Entrypoint = [ "/bin/other" ]; Cmd = [ "/share/text" ]; }; };
    };
  };
}
`

async function writeFlake(name: string): Promise<string> {
  const dir = join(bed.dir, name)
  await mkdir(dir)
  await chmod(dir, 0o755)
  await writeFile(join(dir, 'flake.nix'), FLAKE)
  return `path:${dir}`
}

test.each([
  ['told', 'welcome\n'],
  ['configured', 'welcome\nwelcome\n'],
  ['below', 'welcome\n'],
])('a package that is not an image runs if the policy allows it: %s', async (packageName, output) => {
  const shim = await bed.startShim({ config: { policy: [{ ...POLICY, plainPackages: true }] } })
  const image = `registry.example/plain/${packageName}:1`
  const imageId = await bed.cri(shim.socket).pullImage(recipePull({ image, flakeUrl, packageName }))
  expect(await bed.runPod({ imageId })).toEqual({ exitCode: 0, output })
  await shim.daemon.stop()
})

test.each([
  ['one that does not define what to run', 'untold', true, /it has several programs in bin \("greet", "other"\)/],
  ['any, if the policy does not allow it', 'told', false, /not an image: it is a folder .* plainPackages: true/],
])('a package is rejected: %s', async (_which, packageName, plainPackages, details) => {
  const shim = await bed.startShim({ config: { policy: [{ ...POLICY, plainPackages }] } })
  const pull = recipePull({ image: `registry.example/refused/${packageName}:1`, flakeUrl, packageName })
  await expect(bed.cri(shim.socket).pullImage(pull)).rejects.toMatchObject({ details: expect.stringMatching(details) })
  await shim.daemon.stop()
})

test('the same package with another way to run it gets another image', async () => {
  const shim = await bed.startShim({ config: { policy: [{ ...POLICY, plainPackages: true }] } })
  const url = await writeFlake('changing')
  const pull = recipePull({ image: 'registry.example/plain/changing:1', flakeUrl: url, packageName: 'told' })
  const first = await bed.cri(shim.socket).pullImage(pull)
  expect(await bed.cri(shim.socket).pullImage(pull)).toBe(first)
  await writeFile(join(bed.dir, 'changing/flake.nix'), FLAKE.replace('mainProgram = "greet"', 'mainProgram = "other"'))
  const second = await bed.cri(shim.socket).pullImage(pull)
  expect(second).not.toBe(first)
  expect(await bed.cri(shim.socket).pullImage(pull)).toBe(second)
  const imports = () => countLogged(shim, 'imported')
  const before = await imports()
  expect(await bed.cri(shim.socket).pullImage(pull)).toBe(second)
  expect(await imports()).toBe(before)
  await shim.daemon.stop()
})

test('a package that is rejected for one namespace is imported for another at the same time', async () => {
  const policy = [
    { ...POLICY, namespaces: ['may'], plainPackages: true },
    { ...POLICY, namespaces: ['may-not'] },
  ]
  const shim = await bed.startShim({ config: { policy } })
  const pull = recipePull({ image: 'registry.example/plain/shared:1', flakeUrl, packageName: 'told' })
  const pullFor = (namespace: string) => bed.cri(shim.socket).pullImage({ ...pull, namespace })
  const refusal = { details: expect.stringContaining('plainPackages: true') }
  await expect(pullFor('may-not')).rejects.toMatchObject(refusal)
  await expect(pullFor('may')).resolves.toMatch(/^sha256:/)
  await shim.daemon.stop()
})

test.each(['linked', 'tar'] as const)(
  'packages become one image with a shell, in whatever order and with whatever files: %s',
  async layers => {
    const policy = [{ ...POLICY, flakes: ['packages:path:/**'] }]
    const shim = await bed.startShim({ config: { policy, import: { layers } } })
    const pull = (name: string, contents: string) => {
      const image = `registry.example/${layers}/${name}:1`
      const annotations = {
        [annotationName('imageTag')]: image,
        [annotationName('flakeUrl')]: flakeUrl,
        [annotationName('contents')]: contents,
      }
      return bed.cri(shim.socket).pullImage({ image, annotations })
    }
    const imageId = await pull('one', 'tools told')
    expect(await pull('other', 'told tools')).toBe(imageId)
    expect(await bed.runPod({ imageId })).toEqual({ exitCode: 0, output: '' })
    const script =
      'printf "%s\\n" $PATH $SSL_CERT_FILE; cd /bin; ls; test -L /etc/hosts || busybox cat /nix/store/*-tools/etc/hosts; ls -d /tmp; /usr/bin/env greet'
    const { output } = await bed.runPod({ imageId, command: ['/bin/sh', '-c', script] })
    expect(output.split('\n')).toEqual([
      ...['/bin', '/etc/ssl/certs/ca-bundle.crt', 'busybox', 'env', 'greet', 'ls', 'odd-?', 'other', 'sh'],
      ...['/tmp', 'welcome', ''],
    ])
    await shim.daemon.stop()
  },
)
