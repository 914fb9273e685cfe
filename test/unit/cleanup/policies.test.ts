import { describe, expect, it } from '@jest/globals';
import { parsePolicies } from '../../../src/cleanup/policies.ts';

describe('the policies file', () => {
  it('has the sessions that are kept, and those that are kept longer', () => {
    const text = JSON.stringify({ sessions: { 'team-chat': { keep: true }, S_2: { ttlSeconds: 86_400 } } });
    expect([...parsePolicies(text)]).toEqual([
      ['team-chat', { keep: true }],
      ['S_2', { ttlMs: 86_400_000 }],
    ]);
  });

  it('may say since when a session is kept, as that of an older operator does not', () => {
    const policy = { ttlSeconds: 60, since: '2026-01-01T00:00:00Z' };
    expect([...parsePolicies(JSON.stringify({ sessions: { a: policy } }))]).toEqual([
      ['a', { ttlMs: 60_000, since: Date.parse(policy.since) }],
    ]);
  });

  it('may have no session', () => {
    expect(parsePolicies('{"sessions":{}}').size).toBe(0);
  });

  it.each([
    ['', 'Unexpected end of JSON'],
    ['{"sessions":{"a":{"ke', 'JSON'],
    ['null', 'the file must be a JSON object'],
    ['[]', 'the file must be a JSON object'],
    ['{}', '"sessions" must be a JSON object'],
    ['{"sessions":[]}', '"sessions" must be a JSON object'],
    ['{"session":{},"sessions":{}}', 'the file has the unknown field "session"'],
    ['{"sessions":{"a/b":{"keep":true}}}', '"sessions" has "a/b", which is not a session id'],
    ['{"sessions":{"a":true}}', 'the policy of session a must be a JSON object'],
    ['{"sessions":{"a":{}}}', 'the policy of session a is {}: it must be'],
    ['{"sessions":{"a":{"keep":false}}}', 'the policy of session a is {"keep":false}: it must be'],
    ['{"sessions":{"a":{"keep":true,"ttlSeconds":5}}}', 'the policy of session a is'],
    ['{"sessions":{"a":{"ttlSeconds":0}}}', 'the policy of session a is'],
    ['{"sessions":{"a":{"ttlSeconds":-1}}}', 'the policy of session a is'],
    ['{"sessions":{"a":{"ttlSeconds":1.5}}}', 'the policy of session a is'],
    ['{"sessions":{"a":{"ttlSeconds":"1h"}}}', 'the policy of session a is'],
    ['{"sessions":{"a":{"ttlSeconds":5,"since":"soon"}}}', 'the policy of session a has "since": "soon"'],
    ['{"sessions":{"a":{"ttlSeconds":5,"since":5}}}', 'the policy of session a has "since": 5'],
    ['{"sessions":{"a":{"keep":true,"since":"2026-01-01T00:00:00Z"}}}', 'the policy of session a is'],
    ['{"sessions":{"a":{"ttl":5}}}', 'the policy of session a has the unknown field "ttl"'],
  ])('is invalid as %j', (text, reason) => {
    expect(() => parsePolicies(text)).toThrow(reason);
  });
});
