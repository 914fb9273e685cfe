import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { RequestIdScanner } from '../../../../src/gateway/client/request-id.ts';

/** Scans a text in slices of `size` bytes. */
function scan(text: string, size = 7): { id: unknown; hasMethod: boolean } {
  const scanner = new RequestIdScanner();
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) scanner.push(bytes.subarray(at, at + size));
  return { id: scanner.id, hasMethod: scanner.hasMethod };
}

describe('the id of a message that passes by', () => {
  it.each([
    ['a number', '{"jsonrpc":"2.0","id":12,"method":"x","params":{"id":3}}', 12, true],
    ['a text', '{"jsonrpc":"2.0","id":"a\\"}b","method":"x"}', 'a"}b', true],
    ['at the end', '{"params":{"id":1,"a":[{"id":2}]},"method":"x","id":9}', 9, true],
    ['with white space', '{ "params" : [ 1 , 2 ] ,\n "id" : 9 , "method" : "x" }', 9, true],
    ['of an answer', '{"id":9,"result":{"method":"x"}}', 9, false],
    ['after a text like one', '{"params":"\\"id\\":5","id":6,"method":"x"}', 6, true],
    ['of several the first', '{"id":1,"id":2,"method":"x"}', 1, true],
  ])('is found: %s', (_, text, id, hasMethod) => {
    expect(scan(text)).toEqual({ id, hasMethod });
  });

  it.each([
    ['a notification', '{"method":"x","params":{"id":1}}'],
    ['null', '{"id":null,"method":"x"}'],
    ['an object', '{"id":{"id":1},"method":"x"}'],
    ['a text longer than ids may be', `{"id":"${'x'.repeat(1_000)}","method":"x"}`],
    ['no JSON', '{"id":1x,"method":"x"}'],
    ['a batch', '[{"id":1,"method":"x"}]'],
    ['cut off', '{"id":1'],
    ['brackets that close too early', '}}]]"id":1'],
  ])('is none in %s', (_, text) => {
    expect(scan(text).id).toBeUndefined();
  });

  it('is the one that JSON.parse finds, for any message in any slices', () => {
    const ids = fc.oneof(fc.integer(), fc.string({ maxLength: 20 }));
    fc.assert(
      fc.property(ids, fc.json(), fc.boolean(), fc.integer({ min: 1, max: 9 }), (id, params, first, size) => {
        const text = first
          ? `{"id":${JSON.stringify(id)},"method":"m","params":${params}}`
          : `{"params":${params},"method":"m","id":${JSON.stringify(id)}}`;
        expect(scan(text, size)).toEqual({ id, hasMethod: true });
      }),
    );
  });

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const scanner = new RequestIdScanner();
        scanner.push(Buffer.from(bytes));
        expect(['string', 'number', 'undefined']).toContain(typeof scanner.id);
      }),
    );
  });
});
