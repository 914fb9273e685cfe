import { describe, expect, it } from '@jest/globals';
import type { ConfigMap } from '../../../../src/kube/types/builtins.ts';
import { AsDesired } from '../../../../src/kube/write/as-desired.ts';

const version = (resourceVersion: string, uid = 'u1'): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'ns', name: 'x', uid, resourceVersion },
});

describe('an object that was compared', () => {
  it('is known to have that desired state, and no other', () => {
    const known = new AsDesired();
    const object = version('7');
    known.set(object, 'digest');
    expect([known.has(object, 'digest'), known.has(object, 'other')]).toEqual([true, false]);
    expect(known.has(version('7'), 'digest')).toBe(false);
  });
});

describe('an object that was written', () => {
  it('is known as the cache has it, in exactly the version that was written', () => {
    const known = new AsDesired();
    known.wrote(version('7'), 'digest');
    expect(known.has(version('7'), 'digest')).toBe(true);
    expect(known.has(version('8'), 'digest')).toBe(false);
    expect(known.has(version('7', 'u2'), 'digest')).toBe(false);
    expect(known.has(version('7'), 'other')).toBe(false);
  });

  it('stays known when the same object of the cache is asked for after a further write', () => {
    const known = new AsDesired();
    const cached = version('7');
    known.wrote(cached, 'digest');
    known.has(cached, 'digest');
    known.wrote(version('8'), 'changed');
    expect(known.has(cached, 'digest')).toBe(true);
  });
});
