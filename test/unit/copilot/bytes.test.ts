import { expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Pattern, hasAt, viewOf } from '../../../src/copilot/bytes.ts';

const ascii = fc.string({ unit: 'binary-ascii', minLength: 8 }).map((text) => Buffer.from(text.replaceAll('\0', ' ')));

it('finds a pattern exactly where its bytes are', () => {
  fc.assert(
    fc.property(
      ascii,
      fc.uint8Array(),
      fc.uint8Array(),
      fc.nat(),
      fc.nat(255),
      (wanted, before, after, place, byte) => {
        const bytes = Buffer.concat([before, wanted, after]);
        const changed = Buffer.from(bytes);
        changed[place % changed.length] = byte;
        const pattern = new Pattern(wanted);
        for (const each of [bytes, changed, changed.subarray(0, before.length + wanted.length - 1)]) {
          const isThere = hasAt(each, wanted, before.length);
          expect(pattern.isAt(viewOf(each), before.length)).toBe(isThere);
        }
      },
    ),
  );
});
