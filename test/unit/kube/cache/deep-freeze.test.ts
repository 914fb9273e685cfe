import { describe, expect, it } from '@jest/globals';
import { deepFreeze } from '../../../../src/kube/cache/deep-freeze.ts';
import { Informer } from '../../../../src/kube/cache/informer.ts';
import { ConfigMap } from '../../../../src/kube/types/builtins.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { FakeInformer } from '../../../support/fake-informer.ts';
import { SimulatedApi } from '../simulated-api.ts';

const configMap = (): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'a', name: 'one', uid: 'u', resourceVersion: '1', labels: { part: 'of it' } },
});

describe('a cached object', () => {
  it('can be modified nowhere: the mistake is an error', async () => {
    const api = new SimulatedApi();
    api.put('one', { word: 'first' });
    const informer = new Informer({
      client: api,
      type: ConfigMap,
      clock: new FakeClock(),
      random: () => 0,
      freeze: true,
    });
    const stop = new AbortController();
    const done = informer.run(stop.signal);
    await settle();
    api.put('two', { word: 'first' });
    await settle();
    expect(informer.store.size).toBe(2);
    for (const cached of informer.store.list()) {
      expect(() => Object.assign(cached.data ?? {}, { word: 'second' })).toThrow(TypeError);
      expect(() => {
        cached.metadata.labels = {};
      }).toThrow(TypeError);
    }
    stop.abort();
    await done;
  });

  it('of a test, too', () => {
    const informer = new FakeInformer(ConfigMap);
    informer.set(configMap());
    const cached = informer.store.get('a/one');
    expect(() => Object.assign(cached?.metadata.labels ?? {}, { part: 'of another' })).toThrow(TypeError);
  });

  it('that shares parts with a frozen one is frozen as a whole', () => {
    const shared = deepFreeze({ deep: { deeper: [1] } });
    const object = deepFreeze({ shared, own: [{ x: 1 }] });
    expect(Object.isFrozen(object.own[0])).toBe(true);
    expect(Object.isFrozen(object.shared.deep.deeper)).toBe(true);
  });
});
