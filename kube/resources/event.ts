import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { cutBytes } from '../../lib/text/cut.ts'
import type { Kind, ObjectName } from '../client/contract.ts'

/** In bytes: the limit of events.k8s.io. */
const MAX_MESSAGE = 1024
/** Limit of an object's name, in characters. */
const MAX_NAME = 253
const HASH_LENGTH = 16

/** The object that an Event is about. */
export interface EventTarget {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string | undefined
  readonly name: string
  readonly uid: string
}

export interface EventContent {
  readonly about: EventTarget
  readonly type: 'Normal' | 'Warning'
  /** One word in CamelCase. */
  readonly reason: string
  /** Cut in the middle if longer than 1,024 bytes, as the beginning and the end matter most. */
  readonly message: string
}

const eventSchema = v.object({ count: v.nullish(v.number(), 1) })

export const events: Kind<v.InferOutput<typeof eventSchema>> = {
  apiVersion: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
  parse: object => v.parse(eventSchema, object),
}

/** The same content gets the same name, so that a repeated Event does not create another object. */
export function eventName({ about, reason, message }: EventContent): ObjectName {
  const hash = createHash('sha256')
    .update(JSON.stringify([about.uid, reason, message]))
    .digest('hex')
    .slice(0, HASH_LENGTH)
  const prefix = about.name.slice(0, MAX_NAME - HASH_LENGTH - 1).replace(/[^a-z0-9]+$/, '')
  return { namespace: about.namespace ?? 'default', name: `${prefix}.${hash}` }
}

export function eventBody(
  { about, type, reason, message }: EventContent,
  { component, host, time }: { readonly component: string; readonly host: string; readonly time: string },
): object {
  return {
    involvedObject: about,
    type,
    reason,
    message: cutBytes(message, MAX_MESSAGE),
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
    source: { component, host },
    reportingComponent: component,
    reportingInstance: host,
  }
}
