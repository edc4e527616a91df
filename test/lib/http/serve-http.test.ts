import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { Registry } from 'prom-client'
import { expect, onTestFinished, test, vi } from 'vitest'
import { serveHttp } from '../../../lib/http/serve-http.ts'
import { PATIENT } from '../../patience.ts'

function start(port = 0) {
  const warnings: unknown[] = []
  const server = serveHttp({
    listen: { host: '127.0.0.1', port },
    setBy: '--listen',
    registry: new Registry(),
    obstacles: () => [],
    state: () => 'serving',
    logger: { warn: (fields: unknown) => warnings.push(fields) },
  })
  return { server, warnings }
}

function closeAtEnd(server: Server): void {
  onTestFinished(() => void server.close())
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it does not listen on a port')
  return address.port
}

test('an error of the server is logged, and it continues', async () => {
  const { server: starting, warnings } = start()
  const server = await starting
  closeAtEnd(server)
  for (const err of [new Error('one'), new Error('two')]) server.emit('error', err)
  expect(warnings).toEqual([{ err: new Error('one') }, { err: new Error('two') }])
  const answer = await fetch(`http://127.0.0.1:${portOf(server)}/healthz`)
  expect(await answer.text()).toBe('ok\n')
})

test('idle connections are bounded: the oldest are closed', async () => {
  const server = await start().server
  closeAtEnd(server)
  const idle = Array.from({ length: 40 }, () => connect(portOf(server), '127.0.0.1'))
  onTestFinished(() => idle.forEach(socket => void socket.destroy()))
  let open = idle.length
  for (const socket of idle) socket.on('error', () => {}).on('close', () => open--)
  await vi.waitFor(() => expect(open).toBe(32), PATIENT)
})

test('a port in use is reported with the setting that chose it', async () => {
  const taken = createServer()
  closeAtEnd(taken)
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  const port = portOf(taken)
  await expect(start(port).server).rejects.toMatchObject({
    code: 'ListenAddressInUse',
    message: `127.0.0.1:${port} is in use: choose another --listen`,
  })
})
