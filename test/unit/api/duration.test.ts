import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { durationMs } from '../../../src/api/duration.ts';

const part = fc.option(fc.nat({ max: 999_999 }), { nil: undefined });

describe('durationMs', () => {
  it('adds up hours, minutes and seconds, whichever are written', () => {
    fc.assert(
      fc.property(part, part, part, (h, m, s) => {
        fc.pre(h !== undefined || m !== undefined || s !== undefined);
        const text = [h !== undefined && `${h}h`, m !== undefined && `${m}m`, s !== undefined && `${s}s`];
        expect(durationMs(text.filter(Boolean).join(''))).toBe(((h ?? 0) * 3600 + (m ?? 0) * 60 + (s ?? 0)) * 1000);
      }),
    );
  });

  it.each(['', '5', '-5s', '1.5h', '10m5', '5s10m', '1d', ' 5s', '5s\n', '1234567s', '1e3s'])(
    'refuses %j, which is no duration here, and shows it',
    (text) => {
      expect(() => durationMs(text)).toThrow(`"${text}" is not a duration`);
    },
  );
});
