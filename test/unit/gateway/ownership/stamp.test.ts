import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { makeStamp, readStamp } from '../../../../src/gateway/ownership/stamp.ts';
import { stampKey } from '../../../support/static-ownership.ts';

const key = stampKey('k1');
const session = { namespace: 'team', tenant: 'acme', sessionId: 's1' };
const stamp = makeStamp(session, 'alice@example.com', key, randomBytes);
const read = (changes: Partial<typeof session> = {}, text: unknown = stamp, keys = [key]) =>
  readStamp({ ...session, ...changes }, text, keys);

describe('a stamp', () => {
  it('says who owns the session, and which key signed it', () => {
    expect(read()).toEqual({ owner: 'alice@example.com', keyId: 'k1' });
  });

  it.each([
    ['session', { sessionId: 's2' }],
    ['tenant', { tenant: 'other' }],
    ['namespace', { namespace: 'other' }],
    ['tenant, though the fields together are the same', { namespace: 'teama', tenant: 'cme' }],
    ['session, though the fields together are the same', { tenant: 'acmes', sessionId: '1' }],
  ])('is nothing for another %s', (_, changes) => {
    expect(read(changes)).toBeUndefined();
  });

  it('is good as long as its key is known', () => {
    expect(read({}, stamp, [stampKey('k2'), key])).toMatchObject({ owner: 'alice@example.com' });
    expect(read({}, stamp, [stampKey('k2')])).toBeUndefined();
    expect(read({}, stamp, [])).toBeUndefined();
    // Another key under the same id.
    expect(read({}, stamp, [{ id: 'k1', key: stampKey('k2').key }])).toBeUndefined();
  });

  it('is another one each time', () => {
    expect(makeStamp(session, 'alice@example.com', key, randomBytes)).not.toBe(stamp);
  });

  it.each([0, 1, 2, 3, 4])('is nothing if part %i of it was changed', (index) => {
    const parts = stamp.split('.');
    const part = parts[index] ?? '';
    parts[index] = `${part.startsWith('A') ? 'B' : 'A'}${part.slice(1)}`;
    expect(read({}, parts.join('.'))).toBeUndefined();
  });

  it('is nothing with the owner of another one', () => {
    const others = makeStamp(session, 'bob', key, randomBytes).split('.');
    expect(read({}, [...stamp.split('.').slice(0, 4), others[4]].join('.'))).toBeUndefined();
  });

  it.each([undefined, null, 1, {}, '', 'alice', 'v1....', `${stamp}.`, ` ${stamp}`, `${stamp}\n`, 'v1.'.repeat(5000)])(
    'is not %j',
    (text) => {
      expect(readStamp(session, text, [key])).toBeUndefined();
    },
  );

  it.each(['alice', 'Jörg Müller', 'system:serviceaccount:a:b', '\u{1f600}', 'a,b'])('can be of %j', (owner) => {
    expect(readStamp(session, makeStamp(session, owner, key, randomBytes), [key])?.owner).toBe(owner);
  });
});
