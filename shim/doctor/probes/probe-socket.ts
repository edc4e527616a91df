import { connect } from 'node:net'
import { codeOf } from '../../../lib/error-code.ts'
import { type Finding, failed, skipped } from './finding.ts'

/** Why a unix socket does not accept connections; undefined if it does. `start` says how to start its server. */
export async function probeSocket(path: string, start: string): Promise<Finding | undefined> {
  switch (await connectError(path)) {
    case undefined:
      return undefined
    case 'ENOENT':
    case 'ENOTDIR':
      return failed(`${path} does not exist`, start)
    case 'EACCES':
    case 'EPERM':
      return skipped(`this user may not open ${path}: run doctor as root`)
    case 'ECONNREFUSED':
      return failed(`no server listens at ${path}`, start)
    default:
      return failed(`cannot connect to ${path}`, start)
  }
}

function connectError(path: string): Promise<string | undefined> {
  return new Promise(resolve => {
    const socket = connect(path)
    const end = (code: string | undefined) => {
      socket.destroy()
      resolve(code)
    }
    socket.once('connect', () => end(undefined)).once('error', error => end(codeOf(error) ?? 'unknown'))
  })
}
