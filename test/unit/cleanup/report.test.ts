import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { Tally } from '../../../src/cleanup/report.ts';

const silent = pino({ level: 'silent' });
const deletion = { target: 'acme-0', sessionId: 's1', bytes: 100, message: 'old' };

describe('the tally of a cleanup', () => {
  it('counts what was kept, deleted and swept, and the bytes of both', () => {
    const tally = new Tally(false, silent);
    tally.kept();
    tally.kept();
    tally.deleted(deletion);
    tally.deleted({ ...deletion, sessionId: 's2' });
    tally.swept('acme-0', '.copilot-operator-deleted/s0', 7);
    tally.gone('acme-0', 's3');
    expect(tally.result()).toEqual({
      result: 'Succeeded',
      dryRun: false,
      kept: 2,
      deleted: 2,
      freedBytes: 207,
      sweptFiles: 1,
      errors: 0,
      sessions: ['s1', 's2'],
    });
  });

  it('tells how full the volumes are', () => {
    const tally = new Tally(false, silent);
    tally.filled({ name: 'acme-0', space: 18, size: 2 ** 30, files: 97 });
    tally.filled({ name: 'acme-1', space: 20, size: 2 ** 30 });
    expect(tally.result().volumes).toEqual([
      { name: 'acme-0', space: 18, size: 2 ** 30, files: 97 },
      { name: 'acme-1', space: 20, size: 2 ** 30 },
    ]);
  });

  it.each([
    [['first'], 'first'],
    [['first', 'second'], 'first (and 1 more error)'],
    [['first', 'second', 'third'], 'first (and 2 more errors)'],
  ])('has failed after the errors %j, and tells the first of them', (errors, message) => {
    const tally = new Tally(true, silent);
    for (const error of errors) tally.error(error);
    tally.deleted(deletion);
    expect(tally.result()).toMatchObject({
      result: 'Failed',
      errors: errors.length,
      message,
      deleted: 1,
      dryRun: true,
    });
  });

  it('writes one line for a deletion, and says when it is none', () => {
    const lines: unknown[] = [];
    const log = pino({ base: null, timestamp: false }, { write: (line: string) => lines.push(JSON.parse(line)) });
    new Tally(false, log).deleted(deletion);
    new Tally(true, log).deleted(deletion);
    const fields = { level: 30, target: 'acme-0', session: 's1', bytes: 100, why: 'old' };
    expect(lines).toEqual([
      { ...fields, msg: 'deleted' },
      { ...fields, msg: 'would delete' },
    ]);
  });
});
