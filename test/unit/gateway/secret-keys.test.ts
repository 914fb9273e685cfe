import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { SecretKeys } from '../../../src/gateway/secret-keys.ts';
import type { Secret } from '../../../src/kube/types/builtins.ts';
import type { KubeObject } from '../../../src/kube/types/types.ts';
import { newKeySecret, STAMP_KEYS } from '../../../src/resources/key-secret.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';

function world() {
  const clock = new FakeClock();
  const warned: string[] = [];
  const state: { secret: Secret | undefined } = { secret: undefined };
  const client = {
    get: <T extends KubeObject>() =>
      state.secret === undefined
        ? Promise.reject(new Error('no such Secret'))
        : Promise.resolve(state.secret as unknown as T),
  };
  const log = { warn: (fields: object) => void warned.push(String((fields as { error: unknown }).error)) };
  const stop = new AbortController();
  const keys = new SecretKeys({ secret: STAMP_KEYS, client, clock, log: log as never, namespace: 'system' });
  return { clock, warned, state, keys, stop, running: keys.run(stop.signal) };
}

describe('the keys of the gateway', () => {
  it('are read as soon as the Secret is there, and a rotation within a minute', async () => {
    const { clock, state, keys, stop, running } = world();
    await settle();
    expect(keys.all).toEqual([]);
    const first = newKeySecret(STAMP_KEYS, 'system', randomBytes);
    state.secret = first;
    await clock.advance(5_000);
    expect(keys.all).toHaveLength(1);
    const [former] = keys.all;
    state.secret = {
      ...first,
      data: { key: randomBytes(32).toString('base64'), previousKey: first.data?.['key'] ?? '' },
    };
    await clock.advance(60_000);
    expect(keys.all).toHaveLength(2);
    expect(keys.all[1]).toEqual(former);
    stop.abort();
    await running;
  });

  it('stay as they were while the Secret cannot be read, or has none, and that is logged once', async () => {
    const { clock, state, keys, warned, stop, running } = world();
    state.secret = newKeySecret(STAMP_KEYS, 'system', randomBytes);
    await clock.advance(5_000);
    const before = keys.all;
    state.secret = undefined;
    await clock.advance(180_000);
    expect(keys.all).toBe(before);
    state.secret = { ...newKeySecret(STAMP_KEYS, 'system', randomBytes), data: { key: 'dG9vIHNob3J0' } };
    await clock.advance(60_000);
    expect(keys.all).toBe(before);
    expect(warned.filter((error) => error === 'no such Secret').length).toBeLessThanOrEqual(2);
    expect(warned.at(-1)).toContain('it has no key');
    stop.abort();
    await running;
  });
});
