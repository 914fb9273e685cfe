import { beforeEach, describe, expect, it } from '@jest/globals';
import type { JSONWebKeySet } from 'jose';
import { COOL_DOWN_MS, IssuerKeys, stateOfKeys } from '../../../../../src/gateway/admission/oidc/keys.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const MINUTE = 60_000;
const keySet: JSONWebKeySet = { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'x' }] };

let clock: FakeClock;
let reads: number;
let answer: () => Promise<JSONWebKeySet>;
let log: string[];
let results: string[];
let keys: IssuerKeys;

beforeEach(() => {
  clock = new FakeClock();
  reads = 0;
  answer = () => Promise.resolve(keySet);
  log = [];
  results = [];
  keys = new IssuerKeys({
    url: 'https://login.example.com',
    read: () => {
      reads += 1;
      return answer();
    },
    clock,
    log: {
      info: (_, message) => log.push(message),
      warn: (facts, message) => log.push(message, JSON.stringify(facts)),
    },
    observer: { readKeys: (result) => results.push(result) },
  });
});

const fail = () => Promise.reject(new Error('no answer'));

describe('the keys of an issuer', () => {
  it.each([
    [undefined, 'Unknown'],
    [0, 'Fresh'],
    [20_000 - 1, 'Fresh'],
    [20_000, 'Stale'],
    [60 * MINUTE - 1, 'Stale'],
    [60 * MINUTE, 'Unknown'],
  ])('that were read %s ms ago are %s', (ageMs, expected) => {
    expect(stateOfKeys(ageMs)).toBe(expected);
  });

  it('are read once for all who wait, and not for the next one', async () => {
    const found = await Promise.all([keys.current('Newcomer'), keys.current('Newcomer'), keys.current('Newcomer')]);
    expect(new Set(found).size).toBe(1);
    expect(await keys.current('Newcomer')).toBe(found[0]);
    expect([reads, results]).toEqual([1, ['Succeeded']]);
  });

  it('are read again after twenty seconds, while a newcomer uses the old ones, and who is connected waits', async () => {
    const first = await keys.current('Newcomer');
    await clock.advance(20_000);
    const { promise, resolve } = Promise.withResolvers<JSONWebKeySet>();
    answer = () => promise;
    expect(await keys.current('Newcomer')).toBe(first);
    const waiting = keys.current('Connected');
    resolve(keySet);
    const newer = await waiting;
    expect(newer).not.toBe(first);
    expect(await keys.current('Newcomer')).toBe(newer);
    expect(reads).toBe(2);
  });

  it('are used as they are by who is connected while the issuer fails', async () => {
    const first = await keys.current('Connected');
    answer = fail;
    await clock.advance(20_000);
    expect(await keys.current('Connected')).toBe(first);
    expect(results).toEqual(['Succeeded', 'Failed']);
  });

  it('are used for an hour while the issuer does not answer, and no longer', async () => {
    const first = await keys.current('Newcomer');
    answer = fail;
    await clock.advance(60 * MINUTE - 1);
    expect(await keys.current('Newcomer')).toBe(first);
    await clock.advance(COOL_DOWN_MS);
    await expect(keys.current('Newcomer')).rejects.toThrow(
      'the keys of the issuer https://login.example.com are not known: no answer',
    );
    expect(results).toEqual(['Succeeded', 'Failed', 'Failed']);
  });

  it('are asked for once in ten seconds, however many tokens have keys that are made up', async () => {
    const first = await keys.current('Newcomer');
    for (let token = 0; token < 50; token += 1) expect(await keys.newerThan(first)).toBeUndefined();
    expect(reads).toBe(1);
    await clock.advance(COOL_DOWN_MS);
    const [newer, same] = await Promise.all([keys.newerThan(first), keys.newerThan(first)]);
    expect(newer).toBeDefined();
    expect(same).toBe(newer);
    expect(await keys.newerThan(first)).toBe(newer);
    expect(reads).toBe(2);
  });

  it('are asked for once in ten seconds while the issuer fails, which the log says once', async () => {
    answer = fail;
    for (let token = 0; token < 50; token += 1) await expect(keys.current('Newcomer')).rejects.toThrow('no answer');
    expect(reads).toBe(1);
    await clock.advance(COOL_DOWN_MS);
    await expect(keys.current('Newcomer')).rejects.toThrow('no answer');
    expect(log).toEqual([
      'the keys of the OIDC issuer cannot be read',
      '{"issuer":"https://login.example.com","error":"no answer"}',
    ]);
    answer = () => Promise.resolve(keySet);
    await clock.advance(COOL_DOWN_MS);
    await keys.current('Newcomer');
    expect(log.at(-1)).toBe('the keys of the OIDC issuer can be read again');
    expect(reads).toBe(3);
  });

  it('are not those of something that is no key set', async () => {
    answer = () => Promise.resolve({ keys: ['a'] } as unknown as JSONWebKeySet);
    await expect(keys.current('Newcomer')).rejects.toThrow('Key Set malformed');
  });
});
