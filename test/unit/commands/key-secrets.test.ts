import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { KeySecrets } from '../../../src/commands/operator/key-secrets.ts';
import type { Secret } from '../../../src/kube/types/builtins.ts';
import { StatusError } from '../../../src/kube/types/errors.ts';
import { keysIn, STAMP_KEYS } from '../../../src/resources/key-secret.ts';
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
  const options = {
    client,
    clock,
    log: { info: log, warn: log },
    namespace: 'system',
    randomBytes,
    secrets: [STAMP_KEYS],
  };
  const secrets = new KeySecrets(options as never);
  const running = secrets.run(stop.signal);
  const end = async () => {
    stop.abort();
    await running;
  };
  return { clock, state, secrets, end };
}

const keys = (secret: Secret | undefined) => (secret === undefined ? [] : keysIn(STAMP_KEYS, secret));

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

  it('is known to this process with each of its keys, which stay while the API server is away', async () => {
    const { clock, state, secrets, end } = world();
    const known = secrets.keysOf(STAMP_KEYS);
    expect(known.all).toEqual([]);
    await secrets.looked;
    expect(known.all).toEqual(keys(state.secret));
    state.secret = { ...state.secret, data: { previousKey: state.secret?.data?.['key'] ?? '' } } as Secret;
    await clock.advance(60_000);
    expect(known.all).toEqual(keys(state.secret));
    expect(known.all).toHaveLength(2);
    state.failure = new Error('the API server is away');
    await clock.advance(60_000);
    expect(known.all).toHaveLength(2);
    await end();
  });

  it.each([
    ['refuses', async () => undefined],
    ['has not answered when the process stops', async ({ end }: ReturnType<typeof world>) => end()],
  ])('was looked at, too, if the API server %s', async (_, then) => {
    const started = world(new Error('forbidden'));
    await then(started);
    await started.secrets.looked;
    expect(started.secrets.keysOf(STAMP_KEYS).all).toEqual([]);
    await started.end();
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
