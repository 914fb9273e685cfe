import { describe, expect, it } from '@jest/globals';
import { neverComes } from '../../../../src/tenant/decisions/schedule.ts';

describe('a cron schedule', () => {
  it.each([
    '0 0 30 2 *',
    '0 0 31 2,4,6 *',
    '0 0 30,31 feb *',
    '0 0 31 4/5 ?',
    '*/5 * 31 JUN *',
    'CRON_TZ=Europe/Berlin 0 0 30 2 *',
    '0 0 30-31 2-2 *',
  ])('never comes: %s', (schedule) => {
    expect(neverComes(schedule)).toBe(true);
  });

  it.each([
    ['the 29th of February comes in leap years', '0 0 29 2 *'],
    ['one of the days exists', '0 0 28,30 2 *'],
    ['one of the months has the day', '0 0 31 2-3 *'],
    ['a weekday matches besides the date', '0 0 30 2 1'],
    ['any day', '0 0 * 2 *'],
    ['a step starts at a day that exists', '0 0 2/30 2 *'],
    ['a name', '@daily'],
    ['every month', '0 0 31 * *'],
  ])('comes: %s', (_, schedule) => {
    expect(neverComes(schedule)).toBe(false);
  });
});
