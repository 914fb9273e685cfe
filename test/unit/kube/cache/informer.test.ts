import { describe, expect, it } from '@jest/globals';
import { getEventListeners } from 'node:events';
import * as fc from 'fast-check';
import { ConfigMap } from '../../../../src/kube/types/builtins.ts';
import { Informer, type InformerOptions } from '../../../../src/kube/cache/informer.ts';
import type { ReflectorObserver } from '../../../../src/kube/cache/reflector-options.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { SimulatedApi, type SimulatedFault } from '../simulated-api.ts';

/** An informer of a simulated API server, with a handler that builds its own copy from the events. */
function informed(
  api = new SimulatedApi(),
  random = (): number => 0.5,
  observer: ReflectorObserver = {},
  options: Partial<InformerOptions<ConfigMap>> = {},
) {
  const clock = new FakeClock();
  const informer = new Informer<ConfigMap>({ client: api, type: ConfigMap, clock, random, observer, ...options });
  const copy = new Map<string, string>();
  const received: string[] = [];
  informer.addHandler({
    onAdd: ({ metadata }) => {
      received.push(`add ${metadata.name}`);
      expect(copy.has(metadata.name)).toBe(false);
      copy.set(metadata.name, `${metadata.uid}@${metadata.resourceVersion}`);
    },
    onUpdate: (old, { metadata }) => {
      received.push(`update ${metadata.name}`);
      expect(copy.get(metadata.name)).toBe(`${old.metadata.uid}@${old.metadata.resourceVersion}`);
      expect(old.metadata.uid).toBe(metadata.uid);
      copy.set(metadata.name, `${metadata.uid}@${metadata.resourceVersion}`);
    },
    onDelete: ({ metadata }) => {
      received.push(`delete ${metadata.name}`);
      expect(copy.delete(metadata.name)).toBe(true);
    },
  });
  const stop = new AbortController();
  const done = informer.run(stop.signal);
  const live = (): Map<string, string> =>
    new Map([...api.objects].map(([name, { metadata }]) => [name, `${metadata.uid}@${metadata.resourceVersion}`]));
  const expectComplete = (): void => {
    expect(copy).toEqual(live());
    expect(
      new Map(
        informer.store.list().map(({ metadata }) => [metadata.name, `${metadata.uid}@${metadata.resourceVersion}`]),
      ),
    ).toEqual(live());
  };
  const end = async (): Promise<void> => {
    stop.abort();
    await done;
    expect(api.openWatches).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  };
  return { api, clock, informer, received, copy, stop, expectComplete, end };
}

describe('an informer', () => {
  it('shares the equal parts of its objects', async () => {
    const api = new SimulatedApi();
    const transform = (object: ConfigMap): ConfigMap => ({ ...object, data: { same: 'in all' } });
    const informer = new Informer({
      client: api,
      type: ConfigMap,
      clock: new FakeClock(),
      random: () => 0.5,
      transform,
    });
    const stop = new AbortController();
    const done = informer.run(stop.signal);
    for (const name of ['a', 'b']) api.put(name);
    await settle();
    const [a, b] = informer.store.list();
    expect(b).toMatchObject({ metadata: { name: 'b' }, data: { same: 'in all' } });
    expect(b?.data).toBe(a?.data);
    stop.abort();
    await done;
  });

  it.each(['an indexer', 'the transform'])(
    'has synced with the other objects when %s can not read one',
    async (what) => {
      const api = new SimulatedApi();
      const fail = ({ metadata }: ConfigMap, part: string): void => {
        if (metadata.name === 'odd' && part === what) throw new Error('not the expected shape');
      };
      const informer = new Informer<ConfigMap>({
        client: api,
        type: ConfigMap,
        clock: new FakeClock(),
        random: () => 0.5,
        indexers: {
          name: (object) => {
            fail(object, 'an indexer');
            return [object.metadata.name];
          },
        },
        transform: (object) => {
          fail(object, 'the transform');
          return object;
        },
      });
      const added: string[] = [];
      informer.addHandler({ onAdd: ({ metadata }) => added.push(metadata.name) });
      for (const name of ['good', 'odd', 'late']) api.put(name);
      const stop = new AbortController();
      const done = informer.run(stop.signal);
      await settle();
      expect(informer.hasSynced()).toBe(true);
      expect(added.toSorted()).toEqual(['good', 'late', 'odd']);
      api.put('later');
      await settle();
      expect(informer.store.byIndex('name', 'later')).toHaveLength(1);
      expect(api.lists).toBe(1);
      stop.abort();
      await done;
    },
  );

  it('sends the existing objects to a handler that is added late', async () => {
    const i = informed();
    i.api.put('a');
    await settle();
    const late: string[] = [];
    i.informer.addHandler({ onAdd: ({ metadata }) => late.push(metadata.name) });
    expect(late).toEqual(['a']);
    await i.end();
  });

  it('continues when a handler throws, also with the other handlers', async () => {
    const i = informed();
    i.informer.addHandler({
      onAdd: () => {
        throw new Error('a mistake');
      },
    });
    const after: string[] = [];
    i.informer.addHandler({ onAdd: ({ metadata }) => after.push(metadata.name) });
    await settle();
    i.api.put('a');
    i.api.put('b');
    await settle();
    expect(after).toEqual(['a', 'b']);
    i.expectComplete();
    await i.end();
  });

  it('has synced only after its handlers have received the objects', async () => {
    const i = informed();
    i.api.put('a');
    expect(i.informer.hasSynced()).toBe(false);
    await i.informer.waitForSync(AbortSignal.timeout(5000));
    expect(i.received).toEqual(['add a']);
    await i.end();
  });

  it('stops waiting for the sync when its signal aborts', async () => {
    const i = informed();
    i.api.fault('throttled');
    const giveUp = new AbortController();
    const waiting = i.informer.waitForSync(giveUp.signal);
    giveUp.abort(new Error('shutting down'));
    await expect(waiting).rejects.toThrow('shutting down');
    await i.end();
  });

  describe('of several namespaces of which one is forbidden', () => {
    const MINUTE = 60_000;

    function twoNamespaces(...forbidden: string[]) {
      const api = new SimulatedApi();
      for (const namespace of forbidden) api.forbidden.add(namespace);
      const clock = new FakeClock();
      const informer = new Informer<ConfigMap>({
        client: api,
        type: ConfigMap,
        clock,
        random: () => 0.5,
        namespaces: ['a', 'b'],
      });
      const stop = new AbortController();
      const done = informer.run(stop.signal);
      return {
        api,
        clock,
        informer,
        [Symbol.asyncDispose]: async () => {
          stop.abort();
          await done;
        },
      };
    }

    it('has synced with the others, and reports the error of that one', async () => {
      await using world = twoNamespaces('b');
      const { informer, clock } = world;
      await settle();
      expect(informer.hasSynced()).toBe(false);
      const synced = informer.waitForSync(AbortSignal.timeout(5000));
      await clock.advance(10_000);
      await synced;
      expect(informer.hasSynced()).toBe(true);
      expect(informer.forbiddenIn('a')).toBeUndefined();
      expect(informer.forbiddenIn('b')?.message).toContain('403');
    });

    it('is alive however long that lasts, and lists it as soon as that is permitted', async () => {
      await using world = twoNamespaces('b');
      const { api, informer, clock } = world;
      for (let minute = 0; minute < 30; minute++) {
        api.bookmark();
        await clock.advance(MINUTE);
      }
      expect(informer.healthy().ok).toBe(true);
      api.forbidden.clear();
      await clock.advance(MINUTE);
      expect(informer.forbiddenIn('b')).toBeUndefined();
    });

    it('reports the error until the list of that one is complete', async () => {
      await using world = twoNamespaces('b');
      const { api, informer, clock } = world;
      await clock.advance(MINUTE);
      api.put('one');
      const end = Promise.withResolvers<void>();
      api.listsEnd = end.promise;
      const before = api.lists;
      api.forbidden.clear();
      while (api.lists === before) await clock.advance(1000);
      expect(informer.forbiddenIn('b')).toBeDefined();
      expect(informer.hasSynced()).toBe(true);
      end.resolve();
      await settle();
      expect(informer.forbiddenIn('b')).toBeUndefined();
    });

    it('ignores an error that is over within seconds, and lists again after a longer one', async () => {
      await using world = twoNamespaces();
      const { api, informer, clock } = world;
      await settle();
      const forbidFor = async (ms: number) => {
        api.forbidden.add('b');
        api.fault('reset');
        await clock.advance(ms);
        const forbidden = informer.forbiddenIn('b') !== undefined;
        const before = api.lists;
        api.forbidden.clear();
        await clock.advance(MINUTE);
        expect(informer.forbiddenIn('b')).toBeUndefined();
        return { forbidden, listed: api.lists - before };
      };
      expect(await forbidFor(10_000)).toEqual({ forbidden: false, listed: 0 });
      expect(await forbidFor(MINUTE)).toEqual({ forbidden: true, listed: 1 });
    });

    it('has not synced while all are forbidden: without caches it should not lead', async () => {
      await using world = twoNamespaces('a', 'b');
      await world.clock.advance(MINUTE);
      expect(world.informer.hasSynced()).toBe(false);
    });
  });

  it('reports complete lists and ended watches to its observer', async () => {
    const reported: string[] = [];
    const i = informed(new SimulatedApi(), () => 0.5, {
      listed: ({ plural }) => void reported.push(`listed ${plural}`),
      watchEnded: ({ plural }, reason) => void reported.push(`${plural} ${reason}`),
    });
    await settle();
    i.api.fault('reset');
    await i.clock.advance(2000);
    i.api.fault('garbage');
    await i.clock.advance(4000);
    expect(reported).toEqual([
      'listed configmaps',
      'configmaps ConnectionLost',
      'configmaps Garbage',
      'listed configmaps',
    ]);
    await i.end();
  });

  it('cannot run twice at once', async () => {
    const i = informed();
    await expect(i.informer.run(AbortSignal.timeout(1))).rejects.toThrow('already running');
    await i.end();
  });

  it('sends nothing to handlers when a list has nothing new', async () => {
    const i = informed();
    i.api.put('a');
    await settle();
    i.api.fault('garbage');
    await i.clock.advance(2000);
    expect(i.api.requests).toBe(2);
    expect(i.received).toEqual(['add a']);
    await i.end();
  });

  it('backs off from a server that sends one bookmark and closes', async () => {
    const i = informed();
    const api = i.api;
    for (let passed = 0; passed < 600; passed++) {
      api.bookmark();
      api.fault('end');
      await i.clock.advance(1000);
    }
    // 0.8, 1.6, 3.2, 6.4, 12.8 s and then at least 15 s: less than 50 requests in ten minutes.
    expect(api.requests).toBeLessThan(50);
    expect(api.requests).toBeGreaterThan(20);
    await i.end();
  });

  it('whose watch was healthy for a while starts with the shortest back-off again', async () => {
    const i = informed();
    for (let round = 0; round < 8; round++) {
      await i.clock.advance(60_000);
      i.api.fault('reset');
      await settle();
      expect(i.clock.nextTimerIn).toBe(1200); // 0.8 s and half of it as jitter
      // What waits on the signal of the process is the back-off, not also every session there ever was.
      expect(getEventListeners(i.stop.signal, 'abort')).toHaveLength(1);
    }
    await i.end();
  });

  it('waits at least for the Retry-After of an overloaded server', async () => {
    const i = informed();
    i.api.retryAfterSeconds = 20;
    i.api.fault('reset');
    i.api.fault('throttled');
    await i.clock.advance(1200);
    expect(i.clock.nextTimerIn).toBe(20_000);
    await i.clock.advance(20_000);
    i.expectComplete();
    await i.end();
  });

  it('is unhealthy without progress for 15 minutes, and healthy with the next bookmark', async () => {
    const i = informed();
    await settle();
    for (let fault = 0; fault < 200; fault++) i.api.fault('throttled');
    await i.clock.advance(900_000);
    expect(i.informer.healthy()).toEqual({ ok: true, message: 'configmaps: last progress 900 s ago' });
    await i.clock.advance(1000);
    expect(i.informer.healthy()).toEqual({
      ok: false,
      message: 'configmaps: no list, event or bookmark for 901 s (limit 900 s)',
    });
    i.api.recover();
    await i.clock.advance(40_000);
    i.api.bookmark();
    await settle();
    expect(i.informer.healthy()).toEqual({ ok: true, message: 'configmaps: last progress 0 s ago' });
    await i.end();
  });

  describe('of a server that was restored from a backup', () => {
    /** After the restore one object has its version of before and other data, one is as it was, one is no more. */
    async function restored() {
      const restores: Error[] = [];
      const i = informed(new SimulatedApi(), () => 0.5, {}, { onRestored: (error) => void restores.push(error) });
      i.api.put('kept');
      i.api.put('changed');
      const backup = i.api.backUp();
      i.api.put('changed');
      i.api.put('created');
      await settle();
      i.api.restore(backup);
      return { ...i, restores };
    }

    it('lists again as soon as the server answers again, and reports it', async () => {
      const i = await restored();
      await i.clock.advance(3_000);
      i.expectComplete();
      expect(i.restores.map(({ message }) => message)).toEqual([
        'configmaps: the API server is at resource version 1002, and was at 1004 before: its data were restored from a backup',
      ]);
      await i.end();
    });

    it('keeps nothing that it knew, not even an object of the same version', async () => {
      const i = await restored();
      const before = i.informer.store.get('a/changed');
      // The same version again, by another write.
      i.api.put('changed', { word: 'after' });
      expect(i.api.objects.get('changed')?.metadata).toEqual(before?.metadata);
      await i.clock.advance(3_000);
      expect(i.informer.store.get('a/changed')?.data).toEqual({ word: 'after' });
      expect(i.received.slice(-5)).toEqual(
        expect.arrayContaining(['delete kept', 'delete changed', 'delete created', 'add kept', 'add changed']),
      );
      await i.end();
    });

    it('that is found by a list, and not by the check before a watch, lists once more', async () => {
      const i = await restored();
      // Garbage: the watch is not resumed, so its version is not checked.
      i.api.recover();
      i.api.fault('garbage');
      await i.clock.advance(6_000);
      i.expectComplete();
      expect(i.restores).toHaveLength(1);
      await i.end();
    });
  });

  it('of a server that lags behind goes on with what it has, and lists nothing', async () => {
    const restores: Error[] = [];
    const i = informed(new SimulatedApi(), () => 0.5, {}, { onRestored: (error) => void restores.push(error) });
    i.api.put('a');
    await settle();
    const { lists } = i.api;
    // It has not seen our version yet: a consistent read waits for it and fails, as that of a watch does.
    i.api.fault('reset');
    for (let failures = 0; failures < 3; failures++) i.api.fault('throttled');
    await i.clock.advance(60_000);
    i.api.put('b');
    await settle();
    i.expectComplete();
    expect(i.api.lists).toBe(lists);
    expect(restores).toEqual([]);
    await i.end();
  });

  describe('of a resource that the server does not have', () => {
    const MINUTE = 60_000;

    it('has synced without objects, is alive, and lists them when the CRD comes', async () => {
      const api = new SimulatedApi();
      api.versions = [];
      api.put('a');
      const i = informed(api);
      await i.clock.advance(2_000);
      expect(i.informer.hasSynced()).toBe(false);
      await i.clock.advance(5_000);
      expect(i.informer.hasSynced()).toBe(true);
      expect(i.informer.isAbsent()).toBe(true);
      expect(i.informer.store.size).toBe(0);
      await i.clock.advance(30 * MINUTE);
      expect(i.informer.healthy().ok).toBe(true);
      api.versions = ['v1'];
      await i.clock.advance(31_000);
      i.expectComplete();
      expect(i.informer.isAbsent()).toBe(false);
      await i.end();
    });

    it('has no objects any more when its CRD is deleted, but keeps them during a disturbance of seconds', async () => {
      const i = informed();
      i.api.put('a');
      await settle();
      const without = async (ms: number): Promise<void> => {
        i.api.versions = [];
        i.api.fault('reset');
        await i.clock.advance(ms);
        i.api.versions = ['v1'];
      };
      await without(10_000);
      expect(i.received).toEqual(['add a']);
      await i.clock.advance(MINUTE);
      expect(i.received).toEqual(['add a']);
      await without(MINUTE);
      expect(i.received).toEqual(['add a', 'delete a']);
      await i.clock.advance(MINUTE);
      i.expectComplete();
      await i.end();
    });

    it('in our version, but in another one, has not synced: its objects exist', async () => {
      const api = new SimulatedApi();
      api.versions = ['v2'];
      const i = informed(api);
      await i.clock.advance(MINUTE);
      expect(i.informer.hasSynced()).toBe(false);
      expect(i.informer.forbiddenIn('a')?.message).toMatch(/serves configmaps\. as v2 and not as v1/);
      expect(i.informer.healthy().ok).toBe(true);
      api.versions = ['v2', 'v1'];
      await i.clock.advance(MINUTE);
      i.expectComplete();
      expect(i.informer.forbiddenIn('a')).toBeUndefined();
      await i.end();
    });
  });

  const names = ['a', 'b', 'c'];
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), name: fc.constantFrom(...names) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), name: fc.constantFrom(...names) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('bookmark' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('fault' as const),
        fault: fc.constantFrom<SimulatedFault>(
          'reset',
          'end',
          'garbage',
          'expired',
          'error500',
          'silence',
          'throttled',
        ),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 40_000 }) }) },
  );

  it('ends up equal to the API server after any history of changes and faults, with few requests, and leaves nothing open', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), async (steps, streamsLists) => {
        const api = new SimulatedApi();
        api.streamsLists = streamsLists;
        const i = informed(api);
        for (const action of steps) {
          if (action.do === 'put') api.put(action.name);
          else if (action.do === 'remove') api.remove(action.name);
          else if (action.do === 'bookmark') api.bookmark();
          else if (action.do === 'compact') api.compact();
          else if (action.do === 'fault') api.fault(action.fault);
          else await i.clock.advance(action.ms);
        }
        api.recover();
        // Long enough for every silence and back-off; a healthy server sends a bookmark a minute.
        for (let passed = 0; passed < 20; passed++) {
          api.bookmark();
          await i.clock.advance(60_000);
        }
        i.expectComplete();
        const faults = steps.filter((action) => action.do === 'fault' || action.do === 'compact').length;
        // A fault costs one more request, three if the list is then read in pages.
        expect(api.requests).toBeLessThanOrEqual(3 * (faults + 1));
        // From here on every change arrives through the open watch at once.
        const { requests } = api;
        for (const name of names) api.put(name);
        await settle();
        i.expectComplete();
        for (const name of names) api.remove(name);
        await settle();
        i.expectComplete();
        expect(api.requests).toBe(requests);
        await i.end();
      }),
      { numRuns: 150 },
    );
  });
});
