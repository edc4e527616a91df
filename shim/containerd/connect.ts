import { createClient, type GrpcClient } from '../../lib/grpc/client.ts'
import { CRI_NAMESPACE } from './services/constants.ts'

export interface ContainerdAddress {
  /** Path of containerd's socket. */
  readonly address: string
  readonly namespace?: string
}

/** A client of containerd's own services, which have a namespace for each user. */
export function connectContainerd(
  { address, namespace = CRI_NAMESPACE }: ContainerdAddress,
  signal?: AbortSignal,
): GrpcClient {
  return createClient(address, { headers: { 'containerd-namespace': namespace }, signal })
}
