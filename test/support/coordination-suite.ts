// What every coordination store must do, whatever it is made of.
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import {
  CoordinationUnavailableError,
  MAX_EPOCH,
  type CoordinationStore,
  type Place,
  type SessionKey,
  type SessionRecord,
} from '../../src/gateway/locks/store.ts';

/** Stores of several gateways on the same data. */
export interface StoreWorld extends AsyncDisposable {
  /** The store of one more gateway. It is closed with the world. */
  open(): CoordinationStore;
}

const CALLERS = 20;
const GATEWAYS = 4;
/** Keys that are easily taken for each other. */
const LOOK_ALIKES: readonly (readonly [tenant: string, session: string])[] = [
  ['a', 'alice'],
  ['a', 'ALICE'],
  ['a', 'alice-admin'],
  ['a', 'alice '],
  ['a:b', 'c'],
  ['a', 'b:c'],
  ['a', ':b:c'],
  ['a:', 'b:c'],
  ['a', '{}'],
  ['a', '{x}{y}'],
  ['{a}', 'alice'],
  ['a', 'x\0y'],
  ['a', 'x\\u0000y'],
  ['a', 'x'],
  ['a', '"x"'],
  ['a', '\ud800'],
  ['a', '\ud801'],
  ['a', '\u00e9'],
  ['a', 'e\u0301'],
  ['a', '*'],
  ['a', '..'],
  ['a', '__proto__'],
  ['a', 'x'.repeat(256)],
  ['a', `${'x'.repeat(255)}y`],
];

export const place = (pod: string): Place => ({ server: `team/acme-${pod}`, podUID: `pod-${pod}` });

/** Registers the tests. `makeWorld` makes a world without records for each of them. */
export function itIsACoordinationStore(makeWorld: () => Promise<StoreWorld>): void {
  let world: StoreWorld;
  let store: CoordinationStore;
  let key: SessionKey;
  beforeEach(async () => {
    world = await makeWorld();
    store = world.open();
    key = { tenant: randomUUID(), session: 'first' };
  });
  afterEach(async () => world[Symbol.asyncDispose]());

  /** The next record from what there is, which must be won. */
  const advanceTo = async (pod: string, seen?: SessionRecord, floor = 0, of = key): Promise<SessionRecord> => {
    const result = await store.advance(of, { seen, floor, place: place(pod), holder: `gateway-${randomUUID()}` });
    if (result.outcome !== 'Won') throw new Error(`lost to ${JSON.stringify(result.record)}`);
    return result.record;
  };
  const settle = async (seen: SessionRecord): Promise<SessionRecord> => {
    const result = await store.settle(key, seen);
    if (result.outcome !== 'Won') throw new Error(`lost to ${JSON.stringify(result.record)}`);
    return result.record;
  };
  const listed = async (tenant: string): Promise<Map<string, SessionRecord>> => {
    const all = new Map<string, SessionRecord>();
    for await (const page of world.open().list(tenant)) for (const [session, record] of page) all.set(session, record);
    return all;
  };

  it('has no record at first, then one that other gateways read, and that is settled', async () => {
    expect(store.availability).toEqual({ state: 'Unused' });
    expect(await store.read(key)).toBeUndefined();
    expect(store.availability).toEqual({ state: 'Available' });
    const moving = await advanceTo('0');
    expect(moving).toEqual({ epoch: 1, state: 'Moving', place: place('0'), leaving: [], holder: moving.holder });
    expect(await world.open().read(key)).toEqual(moving);
    const placed = await settle(moving);
    expect(placed).toEqual({ ...moving, state: 'Placed' });
    expect(await world.open().read(key)).toEqual(placed);
  });

  it('lets one of many win who have seen the same, and tells the others of it', async () => {
    const gateways = Array.from({ length: GATEWAYS }, () => world.open());
    let seen: SessionRecord | undefined;
    for (let round = 1; round <= 3; round += 1) {
      const before = seen;
      const results = await Promise.all(
        Array.from({ length: CALLERS }, (_, caller) =>
          (gateways[caller % GATEWAYS] ?? store).advance(key, {
            seen: before,
            floor: 0,
            place: place(String(caller)),
            holder: `caller-${round}-${caller}`,
          }),
        ),
      );
      const [won, ...more] = results.filter(({ outcome }) => outcome === 'Won');
      expect(more).toEqual([]);
      expect(won?.record?.epoch).toBe(round);
      expect(new Set(results.map(({ record }) => JSON.stringify(record)))).toEqual(
        new Set([JSON.stringify(won?.record)]),
      );
      seen = won?.record;
    }
  });

  it('keeps all places where a session may be loaded, until it is settled', async () => {
    const first = await settle(await advanceTo('0'));
    const second = await advanceTo('1', first);
    const left = (name: string, { epoch }: SessionRecord) => ({ ...place(name), epoch });
    expect(second.leaving).toEqual([left('0', first)]);
    const third = await advanceTo('2', second);
    expect(third.leaving).toEqual([left('0', first), left('1', second)]);
    const back = await advanceTo('0', third);
    expect([back.place, back.leaving]).toEqual([place('0'), [left('1', second), left('2', third)]]);
    expect(await store.read(key)).toEqual(back);
    expect((await settle(back)).leaving).toEqual([]);
  });

  it('refuses every write that has seen something else', async () => {
    const first = await advanceTo('0');
    const placed = await settle(first);
    const next = await advanceTo('1', placed);
    const lost = { outcome: 'Lost', record: next };
    const to = { floor: 0, place: place('2'), holder: 'late' };
    expect(await store.advance(key, { seen: undefined, ...to })).toEqual(lost);
    expect(await store.advance(key, { seen: first, ...to })).toEqual(lost);
    expect(await store.advance(key, { seen: placed, ...to })).toEqual(lost);
    expect(await store.advance(key, { seen: { ...next, holder: 'other' }, ...to })).toEqual(lost);
    expect(await store.advance(key, { seen: { ...next, epoch: 11 }, ...to })).toEqual(lost);
    expect(await store.settle(key, first)).toEqual(lost);
    expect(await store.settle(key, placed)).toEqual(lost);
    expect(await store.forget(key, placed)).toEqual(lost);
    const settled = await settle(next);
    expect(await store.settle(key, next)).toEqual({ outcome: 'Lost', record: settled });
    expect(await store.settle(key, settled)).toEqual({ outcome: 'Lost', record: settled });
    expect(await store.read(key)).toEqual(settled);
  });

  it('says that there is no record to whoever has seen one that is lost', async () => {
    const seen = await advanceTo('0', undefined, 6);
    await store.forgetTenant(key.tenant);
    expect(await store.read(key)).toBeUndefined();
    const to = { floor: 0, place: place('1'), holder: 'other' };
    expect(await store.advance(key, { seen, ...to })).toEqual({ outcome: 'Lost', record: undefined });
    expect(await store.settle(key, seen)).toEqual({ outcome: 'Lost', record: undefined });
    expect(await store.forget(key, seen)).toEqual({ outcome: 'Lost', record: undefined });
    expect((await advanceTo('1', undefined, seen.epoch)).epoch).toBe(8);
  });

  it('has epochs that only rise, also of sessions that were forgotten', async () => {
    let last = 0;
    let seen: SessionRecord | undefined;
    for (const [floor, isForgotten] of [[0], [5], [2], [0, true], [0], [40, true], [3], [0, true]] as const) {
      seen = await advanceTo('0', seen, floor);
      expect(seen.epoch).toBeGreaterThan(Math.max(last, floor));
      last = seen.epoch;
      if (isForgotten !== true) continue;
      expect(await store.forget(key, seen)).toEqual({ outcome: 'Forgotten' });
      expect(await store.read(key)).toBeUndefined();
      seen = undefined;
    }
    // Another session of the tenant begins above them, too.
    expect((await advanceTo('0', undefined, 0, { ...key, session: 'second' })).epoch).toBeGreaterThan(last);
  });

  it('forgets a session once, whoever tries', async () => {
    const seen = await advanceTo('0');
    const gateways = Array.from({ length: GATEWAYS }, () => world.open());
    const results = await Promise.all(gateways.map((gateway) => gateway.forget(key, seen)));
    expect(results.filter(({ outcome }) => outcome === 'Forgotten')).toHaveLength(1);
    expect(results.filter(({ outcome }) => outcome === 'Lost')).toHaveLength(GATEWAYS - 1);
  });

  it('keeps keys apart that look alike', async () => {
    // The same ids are used by other tests, and by other runs.
    const run = randomUUID();
    const all = LOOK_ALIKES.map(([tenant, session]) => ({ tenant: `${tenant}${run}`, session }));
    const written: SessionRecord[] = [];
    for (const each of all) written.push(await advanceTo('0', undefined, 0, each));
    for (const [index, each] of all.entries()) expect(await store.read(each)).toEqual(written[index]);
    for (const tenant of new Set(all.map((each) => each.tenant))) {
      const sessions = all.filter((each) => each.tenant === tenant).map(({ session }) => session);
      expect([...(await listed(tenant)).keys()].toSorted()).toEqual(sessions.toSorted());
    }
    // Nor does what happens to one happen to another.
    const isForgotten = (index: number): boolean => index % 2 === 0;
    for (const [index, seen] of written.entries())
      if (isForgotten(index)) expect(await store.forget(all[index] ?? key, seen)).toEqual({ outcome: 'Forgotten' });
    for (const [index, each] of all.entries())
      expect(await store.read(each)).toEqual(isForgotten(index) ? undefined : written[index]);
  });

  it('lists a thousand records, of one tenant only, and forgets them with it', async () => {
    const sessions = Array.from({ length: 1_000 }, (_, index) => `session-${index}`);
    for (let from = 0; from < sessions.length; from += 50)
      await Promise.all(
        sessions.slice(from, from + 50).map((session) => advanceTo('0', undefined, 0, { ...key, session })),
      );
    const other = { tenant: randomUUID(), session: 'theirs' };
    await advanceTo('0', undefined, 0, other);
    const records = await listed(key.tenant);
    expect([...records.keys()].toSorted()).toEqual(sessions.toSorted());
    expect(records.get('session-7')).toEqual(await store.read({ ...key, session: 'session-7' }));
    await store.forgetTenant(key.tenant);
    expect((await listed(key.tenant)).size).toBe(0);
    expect((await listed(other.tenant)).size).toBe(1);
  }, 120_000);

  it.each<[string, (to: CoordinationStore, of: SessionKey) => Promise<unknown>]>([
    ['tenant', (to, of) => to.read({ ...of, tenant: '' })],
    ['session', (to, of) => to.read({ ...of, session: '' })],
    ['session', (to, of) => to.read({ ...of, session: 'x'.repeat(1_025) })],
    ['floor', (to, of) => to.advance(of, { seen: undefined, floor: -1, place: place('0'), holder: 'a' })],
    ['floor', (to, of) => to.advance(of, { seen: undefined, floor: 1.5, place: place('0'), holder: 'a' })],
    ['floor', (to, of) => to.advance(of, { seen: undefined, floor: MAX_EPOCH, place: place('0'), holder: 'a' })],
    [
      'place.podUID',
      (to, of) => to.advance(of, { seen: undefined, floor: 0, place: { ...place('0'), podUID: '' }, holder: 'a' }),
    ],
    ['holder', (to, of) => to.advance(of, { seen: undefined, floor: 0, place: place('0'), holder: '' })],
  ])('refuses a wrong %s', async (name, act) => {
    const error = await act(store, key).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RangeError);
    expect(String(error)).toContain(name);
  });

  it('gives no epoch beyond the last one, and does not begin again', async () => {
    const last = await advanceTo('0', undefined, MAX_EPOCH - 1);
    expect(last.epoch).toBe(MAX_EPOCH);
    const further = store.advance(key, { seen: last, floor: 0, place: place('1'), holder: 'a' });
    expect(await further.catch((thrown: unknown) => thrown)).toBeInstanceOf(RangeError);
    expect(await store.read(key)).toEqual(last);
  });

  it('rejects everything when it is closed, and that is no matter for others', async () => {
    await advanceTo('0');
    await store.close();
    const error = await store.read(key).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CoordinationUnavailableError);
    expect(error).toMatchObject({ reason: 'Closed' });
  });
}
