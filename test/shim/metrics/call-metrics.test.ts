import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createCallMetrics } from '../../../shim/metrics/call-metrics.ts'

async function countCalls(paths: readonly string[], grpcStatus = 0): Promise<object[]> {
  const registry = new Registry()
  const onCall = createCallMetrics(registry)
  for (const path of paths) onCall(path)(grpcStatus)
  const metrics = await registry.getMetricsAsJSON()
  return metrics.find(({ name }) => name === 'grpc_server_handled_total')?.values ?? []
}

const line = (type: string, service: string, method: string, code: string, value = 1) => ({
  labels: { grpc_type: type, grpc_service: service, grpc_method: method, grpc_code: code },
  value,
})

test.each([
  ['/runtime.v1.ImageService/PullImage', 0, line('unary', 'runtime.v1.ImageService', 'PullImage', 'OK')],
  ['/runtime.v1.ImageService/PullImage', 1, line('unary', 'runtime.v1.ImageService', 'PullImage', 'Canceled')],
  ['/enbi.v1alpha1.Pulls/Watch', 14, line('server_stream', 'enbi.v1alpha1.Pulls', 'Watch', 'Unavailable')],
  ['/x/y', 99, line('unary', 'x', 'y', 'Unknown')],
  ['/x/y"} 1\nfaked 1', 0, line('unary', 'other', 'other', 'OK')],
  ['/', 0, line('unary', 'other', 'other', 'OK')],
])('a call of %j that ends with %i is counted as such', async (path, status, expected) => {
  expect(await countCalls([path], status)).toEqual([expected])
})

test('a client that invents methods does not fill the memory', async () => {
  const invented = Array.from({ length: 1000 }, (_, number) => `/invented.Service/Method${number}`)
  const lines = await countCalls([...invented, ...invented])
  expect(lines).toHaveLength(65)
  expect(lines).toContainEqual(line('unary', 'other', 'other', 'OK', 2 * (1000 - 64)))
})

test('no call is lost or counted twice, however many come between two scrapes', async () => {
  const registry = new Registry()
  const onCall = createCallMetrics(registry)
  const read = async () => {
    const text = await registry.metrics()
    return [...text.matchAll(/^grpc_server_(\w+)\{.*\} (\d+)$/gm)]
      .filter(([, name]) => name !== 'handling_seconds_bucket' && name !== 'handling_seconds_sum')
      .map(([, name, value]) => `${name} ${value}`)
  }
  const path = '/runtime.v1.ImageService/ImageStatus'
  for (let number = 0; number < 1000; number += 1) onCall(path)(0)
  onCall(path)
  const expected = ['started_total 1001', 'handled_total 1000', 'handling_seconds_count 1000']
  expect(await read()).toEqual(expected)
  expect(await read()).toEqual(expected)
})
