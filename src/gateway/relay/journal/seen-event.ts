/** What is read of an event of a session that passes, at its home and at the holder of a client that is forwarded. */
import { isObject, scanEnvelope, type EventEnvelope } from '../../../copilot/index.ts';
import { eventIn, isPiece, isTracked } from './events.ts';
import { isServerId } from '../model.ts';
import { factOf, isRead, type Fact } from './facts.ts';

/** One event. */
export interface SeenEvent {
  /** Undefined: it is in no journal. */
  readonly id: string | undefined;
  /** What it says of the course of turns. */
  readonly fact: Fact | undefined;
  /** Its own data; empty, unless the relay looks into events of its type. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** Reads the body of its notification, as far as that is needed. */
export function seenEvent(sessionId: string, type: string, body: Buffer): SeenEvent {
  const isPassed = isPiece(type) || type === 'session.shutdown';
  const event = isTracked(type) || isRead(type) ? eventIn(body).event : undefined;
  const envelope = isPassed ? undefined : (scanEnvelope(body, { sessionId, type }) ?? envelopeIn(body));
  return {
    id: envelope?.isEphemeral === false ? envelope.id : undefined,
    fact: factOf(type, event),
    data: isObject(event?.['data']) ? event['data'] : {},
  };
}

/** Of an event that is not written as servers write it. */
function envelopeIn(body: Buffer): EventEnvelope | undefined {
  const { event } = eventIn(body);
  return isServerId(event?.['id']) ? { id: event['id'], isEphemeral: event['ephemeral'] === true } : undefined;
}
