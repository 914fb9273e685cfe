// What is done again after a while is, whatever becomes of the wall clock meanwhile.
import { expect, it } from '@jest/globals';
import { pino } from 'pino';
import { SESSION_DATA_FINALIZER } from '../../../src/api/names.ts';
import type { KubeClient } from '../../../src/kube/client/client.ts';
import { timestamp } from '../../../src/kube/types/time.ts';
import { RecentWrites } from '../../../src/kube/write/recent-writes.ts';
import { Labeller } from '../../../src/session/labeller.ts';
import { DEADLINE_MS, STARTUP_GRACE_MS } from '../../../src/session/decisions/removal.ts';
import { EMPTY_REMOVAL } from '../../../src/session/model.ts';
import { DataFinalizer, type DataFinalizerOptions } from '../../../src/session/removal/data-finalizer.ts';
import { Expirer } from '../../../src/session/removal/expirer.ts';
import { SessionStates } from '../../../src/session/session-state.ts';
import { StatusWriter } from '../../../src/session/status-writer.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { CREATED, located, sampleSession, serverView } from '../../support/sessions.ts';
import { sampleTenant } from '../../support/tenants.ts';

const HOUR = 3_600_000;

it.each([HOUR, -HOUR])('labels are stored as often when the clock is set by %i ms', async (byMs) => {
  const clock = new FakeClock();
  let stored = 0;
  const source = {
    label: () => {
      stored += 1;
      return Promise.resolve(true);
    },
  };
  const labeller = new Labeller({ source, states: new SessionStates(), clock });
  const context = { log: pino({ enabled: false }), signal: new AbortController().signal };
  const label = () => labeller.label(sampleSession({ owner: 'alice' }), located({ activity: 'Loaded' }), context);
  await label();
  const waitMs = await label();
  clock.jumpWallClock(byMs);
  expect([stored, await label()]).toEqual([1, waitMs]);
  await clock.advance(waitMs ?? 0);
  await label();
  expect(stored).toBe(2);
});

it.each([HOUR, -HOUR])('a status that grows is written as often when the clock is set by %i ms', async (byMs) => {
  const clock = new FakeClock();
  let written = 0;
  const client = {
    update: (_type: unknown, object: unknown) => {
      written += 1;
      return Promise.resolve(object);
    },
  } as unknown as KubeClient;
  const recorder = { event: () => undefined };
  const recent = new RecentWrites(clock);
  const writer = new StatusWriter({ client, recent, states: new SessionStates(), recorder, clock });
  const write = (sizeBytes: number) =>
    writer.write(sampleSession({}, {}, { sizeBytes: 1 }), { sizeBytes }, new AbortController().signal);
  await write(2);
  const waitMs = await write(3);
  clock.jumpWallClock(byMs);
  expect([written, await write(3)]).toEqual([1, waitMs]);
  await clock.advance(waitMs ?? 0);
  await write(3);
  expect(written).toBe(2);
});

it.each([HOUR, -HOUR])(
  'an expired session that was in use is looked at as often when the clock is set by %i ms',
  async (byMs) => {
    const clock = new FakeClock();
    const session = sampleSession({ ttl: '1h' });
    let asked = 0;
    const source = {
      deleteUnused: () => Promise.resolve((asked += 1) > 0 ? ('InUse' as const) : ('Deleted' as const)),
      refresh: () => undefined,
    };
    const client = { get: () => Promise.resolve(session) } as unknown as KubeClient;
    const states = new SessionStates();
    const recent = new RecentWrites(clock);
    const options = { client, recent, source, states, clock, recorder: { event: () => undefined } };
    const expirer = new Expirer(options as unknown as ConstructorParameters<typeof Expirer>[0]);
    const expire = async () => {
      const signal = new AbortController().signal;
      const outcome = await expirer.expire(session, [serverView()], CREATED, { signal, log: pino({ enabled: false }) });
      return outcome.state === 'InUse' ? outcome.retryMs : undefined;
    };
    const retryMs = await expire();
    clock.jumpWallClock(byMs);
    expect([await expire(), asked]).toEqual([retryMs, 1]);
    await clock.advance(retryMs ?? 0);
    await expire();
    expect(asked).toBe(2);
  },
);

/** Deletes a session whose server does not answer. Says whether it was given up. */
function deleting(clock: FakeClock) {
  const deletionTimestamp = timestamp(clock.now());
  const session = sampleSession({}, { deletionTimestamp, finalizers: [SESSION_DATA_FINALIZER] });
  let isGone = false;
  const patch = () => {
    isGone = true;
    return Promise.resolve();
  };
  const client = { patch } as unknown as KubeClient;
  const finalizer = new DataFinalizer({
    client,
    clock,
    states: new SessionStates(),
    tenants: { get: () => sampleTenant() },
    remover: { remove: () => Promise.resolve({ ...EMPTY_REMOVAL, pending: ['Server acme-0 does not answer.'] }) },
    statusWriter: { write: () => Promise.resolve() },
    recorder: { event: () => undefined },
    metrics: { removed: () => undefined },
  } as unknown as DataFinalizerOptions);
  const { signal } = new AbortController();
  const context = { log: pino({ enabled: false }), signal, reconcileID: '1' };
  return async () => {
    await finalizer.finalize(session, context);
    return isGone;
  };
}

it.each([HOUR, -HOUR])('data is given up after as long a time when the clock is set by %i ms', async (byMs) => {
  const clock = new FakeClock();
  const isGivenUp = deleting(clock);
  expect(await isGivenUp()).toBe(false);
  clock.jumpWallClock(byMs);
  await clock.advance(DEADLINE_MS - 1_000);
  expect(await isGivenUp()).toBe(false);
  await clock.advance(1_000);
  expect(await isGivenUp()).toBe(true);
});

it('a process that comes back after an hour tries to delete data before it gives up, also when the clock is set then', async () => {
  const clock = new FakeClock();
  const isGivenUp = deleting(clock);
  await clock.advance(HOUR);
  expect(await isGivenUp()).toBe(false);
  clock.jumpWallClock(HOUR);
  await clock.advance(STARTUP_GRACE_MS - 1_000);
  expect(await isGivenUp()).toBe(false);
  await clock.advance(1_000);
  expect(await isGivenUp()).toBe(true);
});
