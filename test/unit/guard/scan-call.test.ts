import { describe, expect, it } from '@jest/globals';
import { classify, GUARDED_METHODS, isWriteCheck } from '../../../src/guard/methods.ts';
import { scanCall } from '../../../src/guard/scan-call.ts';
import { METHOD_LINES } from '../../../src/gateway/methods/lines.ts';
import { Dice } from '../../support/random.ts';

const scan = (text: string) => scanCall(Buffer.from(text));

describe('a frame of a client', () => {
  it.each<[string, string, object]>([
    [
      'as gateways write it',
      '{"jsonrpc":"2.0","id":7,"method":"session.send","params":{"sessionId":"a","prompt":"x"}}',
      { kind: 'call', id: 7, method: 'session.send', sessionId: 'a' },
    ],
    [
      'in another order, with spaces',
      ' { "params" : { "prompt" : "}\\"" , "sessionId" : "a" } , "method" : "m" , "id" : "q" } ',
      { kind: 'call', id: 'q', method: 'm', sessionId: 'a' },
    ],
    [
      'with escapes in its keys',
      '{"m\\u0065thod":"x","id":1,"params":{"session\\u0049d":"b"}}',
      { kind: 'call', id: 1, method: 'x', sessionId: 'b' },
    ],
    [
      'with a session deeper down',
      '{"id":1,"method":"x","params":{"a":{"sessionId":"b"},"l":[{"sessionId":"c"}]}}',
      { kind: 'call', id: 1, method: 'x', sessionId: undefined },
    ],
    [
      'with an empty session',
      '{"id":1,"method":"x","params":{"sessionId":""}}',
      { kind: 'call', id: 1, method: 'x', sessionId: undefined },
    ],
    [
      'with a session that is no text',
      '{"id":1,"method":"x","params":{"sessionId":["a"]}}',
      { kind: 'call', id: 1, method: 'x', sessionId: undefined },
    ],
    ['without params', '{"id":1,"method":"ping"}', { kind: 'call', id: 1, method: 'ping', sessionId: undefined }],
    [
      'without an id',
      '{"method":"x","params":{"sessionId":"a"}}',
      { kind: 'call', id: undefined, method: 'x', sessionId: 'a' },
    ],
    ['that answers', '{"jsonrpc":"2.0","id":1,"result":{"method":"x"}}', { kind: 'answer' }],
    ['with two methods', '{"id":1,"method":"ping","method":"session.resume"}', { kind: 'malformed', id: 1 }],
    [
      'with two methods, one escaped',
      '{"id":1,"method":"ping","m\\u0065thod":"session.resume"}',
      { kind: 'malformed', id: 1 },
    ],
    [
      'with two sessions',
      '{"id":1,"method":"x","params":{"sessionId":"a","sessionId":"b"}}',
      { kind: 'malformed', id: 1 },
    ],
    ['with two params', '{"id":1,"method":"x","params":{},"params":{"sessionId":"b"}}', { kind: 'malformed', id: 1 }],
    ['with two ids', '{"id":1,"id":2,"method":"x"}', { kind: 'malformed', id: null }],
    ['with an id that cannot be answered', '{"id":{"a":1},"method":"x"}', { kind: 'malformed', id: null }],
    ['with an id that is too long', `{"id":"${'i'.repeat(300)}","method":"x"}`, { kind: 'malformed', id: null }],
    ['with a method that is no text', '{"id":1,"method":["x"]}', { kind: 'malformed', id: 1 }],
    ['that is a batch', '[{"id":1,"method":"x"}]', { kind: 'malformed', id: null }],
    ['that is empty', '', { kind: 'malformed', id: null }],
    ['that ends early', '{"id":1,"method":"x","params":{"sessionId":"a', { kind: 'malformed', id: 1 }],
  ])('%s', (_what, text, expected) => {
    expect(scan(text)).toEqual(expected);
  });

  it('is read as JSON.parse reads it, whatever else is in it', () => {
    const dice = new Dice(1);
    const texts = ['', 'a', '"', '\\', '\\"', '{', '}', '[', ']', ',', ':', 'é', '\u2028', 'sessionId', 'method'];
    const value = (depth: number): unknown => {
      const kind = dice.below(depth > 3 ? 3 : 5);
      if (kind === 0) return dice.below(1000) - 500;
      if (kind === 1) return [true, false, null][dice.below(3)];
      if (kind === 2) return [dice.oneOf(texts), dice.oneOf(texts)].join('');
      if (kind === 3) return Array.from({ length: dice.below(4) }, () => value(depth + 1));
      return Object.fromEntries(
        Array.from({ length: dice.below(4) }, () => [`${dice.oneOf(texts)}k`, value(depth + 1)]),
      );
    };
    for (let round = 0; round < 2_000; round += 1) {
      const params = { before: value(0), sessionId: dice.oneOf(texts), after: value(0) };
      const text = JSON.stringify({ extra: value(0), id: round, method: 'x', params }, undefined, dice.below(3));
      expect(scan(text)).toEqual({ kind: 'call', id: round, method: 'x', sessionId: params.sessionId || undefined });
    }
  });
});

describe('the table of a guard', () => {
  it('has methods that servers have, each once', () => {
    const known = new Set(METHOD_LINES.map(([method]) => method));
    const names = GUARDED_METHODS.map(([method]) => method);
    expect(names.filter((method) => !known.has(method))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });

  it('lets no call about sessions pass that it does not have, unless a grant names the session', () => {
    const passed = METHOD_LINES.map(([method]) => method).filter((method) => classify(method, undefined) === 'Pass');
    expect(passed.filter((method) => /session/i.test(method))).toEqual([]);
    expect(classify('session.later', 'a')).toBe('Other');
    expect(classify('session.later', undefined)).toBe('Never');
    expect(classify('later.method', 'a')).toBe('Other');
    expect(classify('later.method', undefined)).toBe('Pass');
  });

  it.each([
    ['session.create', 'a', 'Load'],
    ['session.create', undefined, 'Never'],
    ['sessions.close', 'a', 'Close'],
    ['sessions.list', undefined, 'Read'],
    ['sessions.pruneOld', undefined, 'Never'],
    ['host.createSession', undefined, 'Never'],
    ['connect', undefined, 'Pass'],
    ['session.create', 'copilot-operator-write-check', 'Pass'],
  ])('%s of %s is %s', (method, session, expected) => {
    expect(classify(method, session)).toBe(expected);
  });

  it('knows the question whether a server can write', () => {
    expect(isWriteCheck(['copilot-operator-write-check'])).toBe(true);
    expect(isWriteCheck(['copilot-operator-write-check', 'a'])).toBe(false);
    expect(isWriteCheck('copilot-operator-write-check')).toBe(false);
  });
});
