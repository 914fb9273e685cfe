// What the closing lines of a test run say of its files.
import { describe, expect, it } from '@jest/globals';
import { failedIn, failureOf, passedIn, slowestOf, type FileResult } from '../../jest-report.ts';

const root = '/src';
const result = (status: string, failure?: string) => ({
  status,
  fullName: `it ${status}`,
  failureMessages: failure === undefined ? [] : [failure],
});
const file = (name: string, seconds: number, ...assertionResults: FileResult['assertionResults']): FileResult => ({
  name: `${root}/test/${name}`,
  status:
    assertionResults.length > 0 && assertionResults.every(({ status }) => status === 'passed') ? 'passed' : 'failed',
  message: 'SyntaxError: found nothing\n    at line 1',
  startTime: 1000,
  endTime: 1000 + seconds * 1000,
  assertionResults,
});

describe('a file of a test run', () => {
  const mixed = file(
    'mixed.test.ts',
    1,
    result('passed'),
    result('failed', `\u001B[31mexpected 1\u001B[39m\n in ${root}/a.ts\n    at b`),
  );

  it('has passed and failed tests', () => {
    expect([passedIn(mixed), failedIn(mixed)]).toEqual([1, 1]);
  });

  it('is told with its first failure in one line, without colours, stack and this directory', () => {
    expect(failureOf(mixed, root)).toBe('test/mixed.test.ts: 1 of 2: it failed: expected 1 in a.ts');
  });

  it('that did not come to its tests has failed', () => {
    const broken = file('broken.test.ts', 1);
    expect([passedIn(broken), failedIn(broken)]).toEqual([0, 1]);
    expect(failureOf(broken, root)).toBe('test/broken.test.ts: SyntaxError: found nothing');
  });

  it('that fails after its tests has failed, too', () => {
    const untidy = { ...file('untidy.test.ts', 1, result('passed')), status: 'failed' };
    expect([passedIn(untidy), failedIn(untidy)]).toEqual([1, 1]);
    expect(failureOf(untidy, root)).toBe('test/untidy.test.ts: SyntaxError: found nothing');
  });

  it('that has passed has not failed', () => {
    expect(failedIn(file('well.test.ts', 1, result('passed')))).toBe(0);
  });
});

describe('the slowest files', () => {
  it('are named from a minute on, the slowest first', () => {
    const testResults = [file('a.test.ts', 59), file('b.test.ts', 60), file('c.test.ts', 300)];
    expect(slowestOf({ success: true, testResults }, root)).toBe('test/c.test.ts 300 s, test/b.test.ts 60 s');
  });

  it('are not named where none is slow', () => {
    expect(slowestOf({ success: true, testResults: [file('a.test.ts', 59)] }, root)).toBeUndefined();
  });
});
