/** What replicas say to each other on their control streams, one JSON object a frame. */
import { isObject } from '../../copilot/index.ts';

/** What must be known of a replica to reach it. */
export interface MemberInfo {
  /** Unique for each start of a process. */
  readonly id: string;
  /** Name of its Lease, which the next process of the same pod takes over. */
  readonly lease: string;
  /** `host:port` where peers connect to. */
  readonly address: string;
}

/** What is passed on with other messages, so that each replica hears of all. */
export interface Gossip {
  /** Who is not dead, for the sender. */
  readonly members: readonly MemberInfo[];
  /** Who has died recently. */
  readonly dead: readonly string[];
  /** Whether the sender drains. */
  readonly isDraining: boolean;
}

/** A question about the home of a tenant. */
export interface Ask {
  readonly type: 'Ask';
  readonly tenant: string;
  readonly nonce: number;
  /** `Claim`: the sender wants to become the home. `Locate`: it looks for it. */
  readonly intent: 'Claim' | 'Locate';
}

/** One message. `at` is the sender's time, which comes back with the answer. */
export type Message =
  | { readonly type: 'Heartbeat'; readonly at: number; readonly gossip: Gossip }
  /** A promise: from now on the sender does not take the receiver for dead for the duration of a Lease. */
  | { readonly type: 'Alive'; readonly at: number; readonly gossip: Gossip }
  /** The sender takes the receiver for dead, for ever. */
  | { readonly type: 'Dead'; readonly id: string }
  | Ask
  | {
      readonly type: 'Answer';
      readonly tenant: string;
      readonly nonce: number;
      /** `Held`, `Claiming`: by the sender. `Granted`: to the receiver. `Free`: not the sender's. */
      readonly answer: 'Held' | 'Claiming' | 'Granted' | 'Free';
      readonly gossip: Gossip;
    }
  /** The sender is the home of the tenant no more. */
  | { readonly type: 'Released'; readonly tenant: string }
  /** The sender has ended its work, and holds nothing. */
  | { readonly type: 'Bye' };

/** Those which answer another message, on the stream that it came on. */
export const isReply = ({ type }: Message): boolean => type === 'Alive' || type === 'Dead' || type === 'Answer';

/** Largest control frame, bytes: a hundred replicas with long names. */
export const MAX_MESSAGE_BYTES = 256 * 1024;

/** @throws Error if a peer sends what is no message: it is of another version, or has a bug. */
export function parseControl(body: Buffer): Message {
  const value: unknown = JSON.parse(body.toString('utf8'));
  if (!isObject(value)) throw new Error('a message of a peer is no object');
  const { type } = value;
  const isValid =
    type === 'Bye' ||
    (type === 'Dead' && isText(value['id'])) ||
    (type === 'Released' && isText(value['tenant'])) ||
    ((type === 'Heartbeat' || type === 'Alive') && isNumber(value['at']) && isGossip(value['gossip'])) ||
    (type === 'Ask' && isQuestion(value) && isOneOf(value['intent'], ['Claim', 'Locate'])) ||
    (type === 'Answer' &&
      isQuestion(value) &&
      isOneOf(value['answer'], ['Held', 'Claiming', 'Granted', 'Free']) &&
      isGossip(value['gossip']));
  if (!isValid) throw new Error(`a message of a peer is not valid: ${JSON.stringify(type)}`);
  return value as unknown as Message;
}

/** Whether it names a replica and how to reach it. */
export function isMemberInfo(value: unknown): value is MemberInfo {
  return isObject(value) && isText(value['id']) && isText(value['lease']) && isText(value['address']);
}

function isGossip(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { members, dead, isDraining } = value;
  return (
    Array.isArray(members) &&
    members.every(isMemberInfo) &&
    Array.isArray(dead) &&
    dead.every(isText) &&
    typeof isDraining === 'boolean'
  );
}

function isQuestion(value: Readonly<Record<string, unknown>>): boolean {
  return isText(value['tenant']) && isNumber(value['nonce']);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isOneOf(value: unknown, all: readonly string[]): boolean {
  return typeof value === 'string' && all.includes(value);
}
