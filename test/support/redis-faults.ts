/** Redis servers and stores for tests of what goes wrong with Redis. */
import { expect } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  CoordinationStore,
  RecordResult,
  SessionRecord,
  UnavailableReason,
} from '../../src/gateway/locks/store.ts';
import { freePort } from './copilot-server.ts';
import { place } from './coordination-suite.ts';
import { RedisServer } from './redis-server.ts';
import { RedisWorld } from './redis-world.ts';
import { TcpGate } from './tcp-gate.ts';
import { waitFor } from './wait.ts';

/** The session that is written about. */
export const key = { tenant: randomUUID(), session: 's' };
const opened: AsyncDisposable[] = [];

/** Ends all of a test, the last one first. */
export async function endRedis(): Promise<void> {
  for (const each of opened.splice(0).toReversed()) await each[Symbol.asyncDispose]();
}

export async function redis(...args: Parameters<typeof RedisServer.start>): Promise<RedisServer> {
  const server = await RedisServer.start(...args);
  opened.push(server);
  return server;
}

export function worldOf(url: string): RedisWorld {
  const world = new RedisWorld(url);
  opened.push(world);
  return world;
}

/** A path to the port that can be cut. */
export async function gate(port: number): Promise<{ readonly gate: TcpGate; readonly url: string }> {
  const from = { host: '127.0.0.1', port: await freePort() };
  const made = await TcpGate.start(from, { host: '127.0.0.1', port });
  opened.push({ [Symbol.asyncDispose]: async () => made.stop() });
  return { gate: made, url: `redis://127.0.0.1:${from.port}` };
}

export function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'redis-faults-'));
  opened.push({ [Symbol.asyncDispose]: async () => rmSync(made, { recursive: true }) });
  return made;
}

export function advance(store: CoordinationStore, seen?: SessionRecord, floor = 0, of = key): Promise<RecordResult> {
  return store.advance(of, { seen, floor, place: place('0'), holder: `gateway-${randomUUID()}` });
}

/** The next record, which must be won. */
export async function won(store: CoordinationStore, seen?: SessionRecord, floor = 0): Promise<SessionRecord> {
  const result = await advance(store, seen, floor);
  if (result.outcome !== 'Won') throw new Error(`lost to ${JSON.stringify(result.record)}`);
  return result.record;
}

/** It says so with these words, and nothing is written. */
export async function expectAway(
  store: CoordinationStore,
  reason: UnavailableReason,
  ...words: string[]
): Promise<void> {
  const begun = performance.now();
  // A session that has no record: it would be written.
  const of = { ...key, session: randomUUID() };
  const error = await advance(store, undefined, 0, of).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'CoordinationUnavailableError', reason });
  expect(performance.now() - begun).toBeLessThan(5_000);
  for (const word of words) expect((error as Error).message).toContain(word);
  expect(store.availability).toMatchObject({ state: 'Unavailable', reason });
}

export function heals(store: CoordinationStore): Promise<unknown> {
  return waitFor('the store is back', () => store.availability.state === 'Available', { withinMs: 15_000 });
}
