import { createHash } from 'node:crypto'
import * as v from 'valibot'
import type { Kind, ObjectName } from '../client/contract.ts'

/** Bytes, as events.k8s.io has it. */
const MAX_MESSAGE = 1024
/** Characters of an object's name. */
const MAX_NAME = 253
const HASH_LENGTH = 16
const CUT = '\n…\n'

/** What an Event is about. */
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
  /** Cut in the middle when it has more than 1,024 bytes: what it begins and ends with matters most. */
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

/** The same for the same content, so that an Event that is told again is not another object. */
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
    message: cutMiddle(message, MAX_MESSAGE),
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
    source: { component, host },
    reportingComponent: component,
    reportingInstance: host,
  }
}

/** At most `max` bytes of UTF-8, whole characters only: a third of them from the beginning. */
export function cutMiddle(text: string, max: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= max) return bytes.toString()
  const head = Math.floor((max - Buffer.byteLength(CUT)) / 3)
  const tail = max - Buffer.byteLength(CUT) - head
  return wholeEnd(bytes.subarray(0, head)) + CUT + wholeStart(bytes.subarray(bytes.length - tail))
}

function wholeStart(bytes: Buffer): string {
  let start = 0
  while (start < bytes.length && isInside(bytes[start])) start += 1
  return bytes.toString('utf8', start)
}

function wholeEnd(bytes: Buffer): string {
  let last = bytes.length - 1
  while (last > 0 && isInside(bytes[last])) last -= 1
  const isWhole = Buffer.from(bytes.toString('utf8', last)).equals(bytes.subarray(last))
  return bytes.toString('utf8', 0, isWhole ? bytes.length : last)
}

/** Whether it is a byte of a character, but not its first. */
function isInside(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}
