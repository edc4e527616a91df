import { arch } from 'node:os'
import { makeBusyboxLayer } from '../registry/busybox-layer.ts'
import { type Image, makeImage, makeLayer } from '../registry/image.ts'
import type { Registry } from '../registry/registry.ts'

/** Fills the registry with stand-ins for the images that critest pulls: it reaches no other. */
export async function pushStandIns(registry: Registry): Promise<void> {
  for (const [reference, image] of Object.entries(await makeStandIns())) {
    const [name = '', tag = 'latest'] = reference.split(':')
    await registry.push(name, tag, image)
  }
}

const TOOLS = 'k8s-staging-cri-tools'
const E2E = 'e2e-test-images'
const HOST_PORT = 12003

async function makeStandIns(): Promise<Record<string, Image>> {
  const busybox = await makeBusyboxLayer()
  const sh = { Cmd: ['/bin/sh'] }
  const serving = async (port: number) =>
    makeImage([busybox, await makeServer(port)], { Cmd: [SERVER, 'master process'] })
  const named = (name: string) => makeImage([busybox], { ...sh, Labels: { name } })
  const withUser = (User: string) => makeImage([busybox], { ...sh, User })
  return {
    [`${E2E}/busybox:1.29-2`]: makeImage([busybox], sh),
    [`${E2E}/nginx:1.14-2`]: await serving(80),
    [`${E2E}/httpd:2.4.39-4`]: await serving(80),
    [`${TOOLS}/hostnet-nginx-${arch() === 'x64' ? 'amd64' : arch()}`]: await serving(HOST_PORT),
    'pause:3.9': makeImage([busybox], { Cmd: ['/bin/sleep', '2147483647'] }),
    ...Object.fromEntries(PLAIN.map(name => [`${TOOLS}/${name}`, named(name)])),
    ...Object.fromEntries(['1', '2', '3'].map(tag => [`${TOOLS}/test-image-tags:${tag}`, named('test-image-tags')])),
    [`${TOOLS}/test-image-user-uid`]: withUser('1002'),
    [`${TOOLS}/test-image-user-username`]: withUser('www-data'),
    [`${TOOLS}/test-image-user-uid-group`]: withUser('1003:users'),
    [`${TOOLS}/test-image-user-username-group`]: withUser('www-data:100'),
    [`${TOOLS}/test-image-predefined-group`]: withUser('1000'),
  }
}

/** The one that is asked for by its digest cannot be made again. */
const PLAIN = [
  'test-image-latest',
  'test-image-tag:test',
  'test-image-tag:all',
  'test-image-1',
  'test-image-2',
  'test-image-3',
]

const SERVER = '/usr/sbin/nginx'

/** Serves a page and writes its process number, under the name of nginx. It stays a shell: its name is what the tests look for. */
function makeServer(port: number) {
  const content = `#!/bin/sh
trap 'exit 0' TERM
echo $$ >/var/run/nginx.pid
echo httpd
/bin/httpd -f -p ${port} -h /www &
wait
`
  return makeLayer([{ name: SERVER.slice(1), mode: 0o755, content }])
}
