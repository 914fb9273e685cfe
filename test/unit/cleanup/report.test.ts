import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { CleanupReport } from '../../../src/cleanup/report.ts';

const silent = pino({ level: 'silent' });
const deletion = { target: 'acme-0', sessionId: 's1', bytes: 100, message: 'old' };

describe('the report of a cleanup', () => {
  it('counts what was kept, deleted and swept, and the bytes of both', () => {
    const report = new CleanupReport(false, silent);
    report.kept();
    report.kept();
    report.deleted(deletion);
    report.deleted({ ...deletion, sessionId: 's2' });
    report.swept('acme-0', '.copilot-operator-deleted/s0', 7);
    report.alreadyGone('acme-0', 's3');
    expect(report.result()).toEqual({
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

  it('has how full the volumes are', () => {
    const report = new CleanupReport(false, silent);
    report.measured({ name: 'acme-0', space: 18, size: 2 ** 30, files: 97 });
    report.measured({ name: 'acme-1', space: 20, size: 2 ** 30 });
    expect(report.result().volumes).toEqual([
      { name: 'acme-0', space: 18, size: 2 ** 30, files: 97 },
      { name: 'acme-1', space: 20, size: 2 ** 30 },
    ]);
  });

  it.each([
    [['first'], 'first'],
    [['first', 'second'], 'first (and 1 more error)'],
    [['first', 'second', 'third'], 'first (and 2 more errors)'],
  ])('has failed after the errors %j, with the message of the first', (errors, message) => {
    const report = new CleanupReport(true, silent);
    for (const error of errors) report.error(error);
    report.deleted(deletion);
    expect(report.result()).toMatchObject({
      result: 'Failed',
      errors: errors.length,
      message,
      deleted: 1,
      dryRun: true,
    });
  });

  it('logs one line for a deletion, also in a dry run', () => {
    const lines: unknown[] = [];
    const log = pino({ base: null, timestamp: false }, { write: (line: string) => lines.push(JSON.parse(line)) });
    new CleanupReport(false, log).deleted(deletion);
    new CleanupReport(true, log).deleted(deletion);
    const fields = { level: 30, target: 'acme-0', session: 's1', bytes: 100, why: 'old' };
    expect(lines).toEqual([
      { ...fields, msg: 'deleted' },
      { ...fields, msg: 'would delete' },
    ]);
  });
});
