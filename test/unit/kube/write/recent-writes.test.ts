import { describe, expect, it } from '@jest/globals';
import { ConfigMap, Secret } from '../../../../src/kube/types/builtins.ts';
import { isNewer, RecentWrites } from '../../../../src/kube/write/recent-writes.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeInformer } from '../../../support/fake-informer.ts';

function configMap(resourceVersion: string, uid = 'u1'): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'ns', name: 'x', uid, resourceVersion } };
}

function setUp({ followed = true } = {}) {
  const clock = new FakeClock();
  const recent = new RecentWrites(clock);
  const informer = new FakeInformer(ConfigMap);
  if (followed) recent.follow(informer);
  const newest = (cached: ConfigMap | undefined) => recent.newest(ConfigMap, configMap('0'), cached);
  return { clock, recent, informer, newest };
}

describe('our own writes', () => {
  it('take precedence over an older state of the cache, but not over a newer one', () => {
    const { recent, newest } = setUp();
    const written = configMap('20');
    recent.wrote(ConfigMap, written);
    expect(newest(configMap('19')).object).toEqual(written);
    expect(newest(configMap('21')).object?.metadata.resourceVersion).toBe('21');
  });

  it('of an object that the cache lacks are trusted for ten seconds, then uncertain', async () => {
    const { recent, newest, clock } = setUp();
    recent.wrote(ConfigMap, configMap('20'));
    expect(newest(undefined)).toMatchObject({ object: { metadata: { uid: 'u1' } }, uncertain: false });
    await clock.advance(10_001);
    expect(newest(undefined)).toEqual({ object: undefined, uncertain: true });
  });

  it('are uncertain at once if the cache is not followed', () => {
    const { recent, newest } = setUp({ followed: false });
    recent.wrote(ConfigMap, configMap('20'));
    expect(newest(undefined)).toEqual({ object: undefined, uncertain: true });
  });

  it('are forgotten when the cache has caught up, so that a later deletion is noticed', () => {
    const { recent, informer, newest } = setUp();
    recent.wrote(ConfigMap, configMap('20'));
    informer.set(configMap('20'));
    informer.delete(configMap('20'));
    expect(newest(undefined)).toEqual({ object: undefined, uncertain: false });
  });

  it('are forgotten when the object was deleted, even if its events arrived before the response to our write', () => {
    const { recent, informer, newest } = setUp();
    informer.set(configMap('20'));
    informer.delete(configMap('20'));
    recent.wrote(ConfigMap, configMap('20'));
    expect(newest(undefined)).toEqual({ object: undefined, uncertain: false });
  });

  it('survive the deletion of an earlier object of the name', () => {
    const { recent, informer, newest } = setUp();
    informer.set(configMap('10', 'u0'));
    recent.wrote(ConfigMap, configMap('20', 'u1'));
    informer.delete(configMap('11', 'u0'));
    expect(newest(undefined).object?.metadata.uid).toBe('u1');
  });

  it('do not accumulate', async () => {
    const { recent, clock, newest } = setUp();
    recent.wrote(ConfigMap, configMap('20'));
    await clock.advance(10_001);
    recent.wrote(ConfigMap, { ...configMap('21'), metadata: { ...configMap('21').metadata, name: 'other' } });
    expect(newest(undefined)).toEqual({ object: undefined, uncertain: false });
  });
});

describe('the last write of an object without a cache', () => {
  it('is known with its age for ten seconds', async () => {
    const { recent, clock } = setUp({ followed: false });
    const ref = { namespace: 'ns', name: 'x' };
    expect(recent.lastWrite(ConfigMap, ref)).toBeUndefined();
    recent.wrote(ConfigMap, configMap('20'));
    await clock.advance(9_000);
    expect(recent.lastWrite(ConfigMap, ref)).toEqual({ object: configMap('20'), ageMs: 9_000 });
    expect(recent.lastWrite(Secret, ref)).toBeUndefined();
    await clock.advance(1_001);
    expect(recent.lastWrite(ConfigMap, ref)).toBeUndefined();
  });

  it('is not known once it was forgotten', () => {
    const { recent } = setUp({ followed: false });
    recent.wrote(ConfigMap, configMap('20'));
    recent.forget(ConfigMap, configMap('20'));
    expect(recent.lastWrite(ConfigMap, { namespace: 'ns', name: 'x' })).toBeUndefined();
  });
});

describe('the children created for an owner', () => {
  it('are remembered by kind, name and owner', () => {
    const { recent } = setUp();
    recent.created(ConfigMap, configMap('1'), 'owner');
    recent.created(Secret, configMap('1'), 'other');
    expect(recent.wasCreated(ConfigMap, configMap('9'), 'owner')).toBe(true);
    expect(recent.wasCreated(Secret, configMap('9'), 'owner')).toBe(false);
    expect(recent.wasCreated(ConfigMap, configMap('9'), 'other')).toBe(false);
    expect(recent.wasCreated(Secret, configMap('9'), 'other')).toBe(true);
    expect(recent.wasCreated(ConfigMap, { ...configMap('9'), metadata: { name: 'y' } }, 'owner')).toBe(false);
  });
});

describe('resource versions', () => {
  it('are compared as numbers of any length; one that is no number is never newer', () => {
    expect(isNewer(configMap('10'), configMap('9'))).toBe(true);
    expect(isNewer(configMap('9'), configMap('10'))).toBe(false);
    expect(isNewer(configMap('99999999999999999999'), configMap('99999999999999999998'))).toBe(true);
    expect(isNewer(configMap('abc'), configMap('1'))).toBe(false);
  });
});
