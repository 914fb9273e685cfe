import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { stampSecret } from '../../../src/commands/operator/stamp-secret.ts';
import type { Secret } from '../../../src/kube/types/builtins.ts';
import { StatusError } from '../../../src/kube/types/errors.ts';
import { stampKeysIn } from '../../../src/resources/stamp-secret.ts';
import { FakeClock } from '../../support/fake-clock.ts';

/** An API server that has at most this one Secret. */
function world(failure?: Error) {
  const clock = new FakeClock();
  const state: { secret: Secret | undefined; failure: Error | undefined; logged: string[] } = {
    secret: undefined,
    failure,
    logged: [],
  };
  const client = {
    get: async () => {
      if (state.failure !== undefined) throw state.failure;
      if (state.secret === undefined)
        throw new StatusError({ method: 'GET', path: '/' }, { code: 404, reason: 'NotFound' });
      return state.secret;
    },
    create: async (_type: unknown, secret: Secret) => (state.secret = secret),
    patch: async (_type: unknown, _ref: unknown, { data }: { data: Record<string, string> }) =>
      (state.secret = { ...state.secret, data: { ...state.secret?.data, ...data } } as Secret),
  };
  const log = (fields: object, message: string): void => void state.logged.push(`${JSON.stringify(fields)} ${message}`);
  const stop = new AbortController();
  const options = { client, clock, log: { info: log, warn: log }, namespace: 'system', randomBytes };
  const running = stampSecret(options as never).run(stop.signal, stop.signal);
  const end = async () => {
    stop.abort();
    await running;
  };
  return { clock, state, end };
}

const keys = (secret: Secret | undefined) => (secret === undefined ? [] : stampKeysIn(secret));

describe('the Secret that signs whose a session is', () => {
  it('is created, and then left as it is', async () => {
    const { clock, state, end } = world();
    await clock.advance(0);
    const first = state.secret;
    expect(first?.metadata).toMatchObject({ name: 'copilot-gateway-stamp', namespace: 'system' });
    expect(keys(first)).toHaveLength(1);
    await clock.advance(600_000);
    expect(state.secret).toBe(first);
    await end();
  });

  it('gets a new key when the present one was made the previous one, which stays', async () => {
    const { clock, state, end } = world();
    await clock.advance(0);
    const [first] = keys(state.secret);
    state.secret = { ...state.secret, data: { previousKey: state.secret?.data?.['key'] ?? '' } } as Secret;
    // Until then the previous one signs.
    expect(keys(state.secret)).toEqual([first]);
    await clock.advance(60_000);
    expect(keys(state.secret)).toHaveLength(2);
    expect(keys(state.secret)[1]).toEqual(first);
    await end();
  });

  it('is tried again when the API server refuses, and no key is in the log', async () => {
    const { clock, state, end } = world(new Error('forbidden'));
    await clock.advance(0);
    expect(state.logged.join()).toContain('forbidden');
    state.failure = undefined;
    await clock.advance(60_000);
    expect(keys(state.secret)).toHaveLength(1);
    expect(state.logged.join()).not.toContain(state.secret?.data?.['key']);
    await end();
  });
});
