import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  answerFor,
  formatAnswer,
  formatError,
  formatRequest,
  scanAnswer,
  scanAnswerId,
  scanEvent,
} from '../../../src/copilot/index.ts';

const event = (sessionId: string, type: string, rest = ',"data":{},"id":"e1","timestamp":"t","parentId":null') =>
  Buffer.from(
    `{"jsonrpc":"2.0","method":"session.event","params":{"sessionId":"${sessionId}","event":{"type":"${type}"${rest}}}}`,
  );

describe('scanning an event', () => {
  it('finds session and type', () => {
    expect(scanEvent(event('a-b_C9', 'assistant.message_delta'))).toEqual({
      sessionId: 'a-b_C9',
      type: 'assistant.message_delta',
    });
  });

  it.each([
    ['another method', Buffer.from('{"jsonrpc":"2.0","method":"session.lifecycle","params":{"sessionId":"a"}}')],
    ['other white space', Buffer.from(event('a', 'b').toString().replace('{"jsonrpc"', '{ "jsonrpc"'))],
    ['another order', Buffer.from('{"method":"session.event","jsonrpc":"2.0","params":{"sessionId":"a"}}')],
    ['an escaped session', event('a\\u0062', 'b')],
    ['an escaped type', event('a', 'b\\u0062')],
    ['no session', event('', 'b')],
    ['no type', event('a', '')],
    ['a session longer than any', event('a'.repeat(256), 'b')],
    ['a type longer than any', event('a', 'b'.repeat(65))],
    ['a cut body', event('a', 'assistant.message').subarray(0, 90)],
    ['nothing', Buffer.alloc(0)],
  ])('leaves %s to the parser', (_, body) => {
    expect(scanEvent(body)).toBeUndefined();
  });

  it('agrees with the parser on whatever it accepts', () => {
    const text = fc.oneof(fc.string({ maxLength: 12 }), fc.stringMatching(/^[0-9A-Za-z_.-]{1,12}$/));
    fc.assert(
      fc.property(text, text, (sessionId, type) => {
        const params = { sessionId, event: { type, data: {} } };
        const found = scanEvent(Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'session.event', params })));
        if (found !== undefined) expect(found).toEqual({ sessionId, type });
      }),
    );
  });
});

describe('scanning an answer', () => {
  it.each([
    ['{"jsonrpc":"2.0","id":7,"result":{"a":1}}', { id: 7, isError: false }],
    ['{"jsonrpc":"2.0","id":123456,"error":{"code":1,"message":"m"}}', { id: 123456, isError: true }],
  ])('finds the id of %s', (text, expected) => {
    expect(scanAnswer(Buffer.from(text))).toMatchObject(expected);
  });

  it.each([
    '{"jsonrpc":"2.0","id":"7","result":1}',
    '{"jsonrpc":"2.0","id":7.5,"result":1}',
    '{"jsonrpc":"2.0","id":-7,"result":1}',
    '{"jsonrpc":"2.0","id":1234567890123456,"result":1}',
    '{"jsonrpc":"2.0","id":7,"method":"hooks.invoke","params":{}}',
    '{"jsonrpc":"2.0","result":1,"id":7}',
    '{"jsonrpc":"2.0","id":7',
  ])('leaves %s to the parser', (text) => {
    expect(scanAnswer(Buffer.from(text))).toBeUndefined();
  });

  it('has another id put in, and the rest of its bytes as they are', () => {
    const body = Buffer.from('{"jsonrpc":"2.0","id":7,"result":{"text":"ä \\u00e4 1.0e2"}}');
    const head = scanAnswer(body);
    if (head === undefined) throw new Error('not found');
    expect(answerFor('a"b', body, head).toString()).toBe(
      '{"jsonrpc":"2.0","id":"a\\"b","result":{"text":"ä \\u00e4 1.0e2"}}',
    );
    expect(answerFor(12, body, head).toString()).toContain('"id":12,"result"');
  });
});

describe('the id of an answer to a client', () => {
  it.each([7, -7.5, 1e21, 'text', 'with "quotes" and \\', 'ä,"result":', ''])('is found: %p', (id) => {
    expect(scanAnswerId(Buffer.from(formatAnswer(id, { id: 1 })))).toBe(id);
    expect(scanAnswerId(Buffer.from(formatError(id, -1, 'no')))).toBe(id);
  });

  it.each([
    formatRequest(7, 'hooks.invoke', {}),
    event('s', 'session.idle').toString(),
    '{}',
    '{"jsonrpc":"2.0","id":"7',
  ])('is in no other message: %s', (body) => {
    expect(scanAnswerId(Buffer.from(body))).toBeUndefined();
  });
});
