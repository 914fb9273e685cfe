import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  formatCleanupResult,
  MAX_RESULT_BYTES,
  parseCleanupResult,
  type CleanupResult,
} from '../../../src/resources/cleanup-result.ts';

const succeeded: CleanupResult = {
  result: 'Succeeded',
  dryRun: false,
  kept: 12,
  deleted: 2,
  freedBytes: 54_321,
  sweptFiles: 3,
  errors: 0,
};
const failed: CleanupResult = {
  ...succeeded,
  result: 'Failed',
  errors: 1,
  message: 'a-0: session x: no',
  volumes: [
    { name: 'a-0', space: 18, size: 2 ** 30, files: 100 },
    { name: 'a-1', space: 0, size: 2 ** 30 },
  ],
  sessions: ['x', 'y-1'],
};

describe('the result of a cleanup', () => {
  it.each([succeeded, failed, { ...succeeded, dryRun: true }])('is read as it was written: %j', (result) => {
    expect(parseCleanupResult(formatCleanupResult(result))).toEqual(result);
  });

  it('fits into a termination message, with as many ids as there is room for', () => {
    const sessions = Array.from({ length: 3000 }, (_, i) => `session-${i}`);
    const text = formatCleanupResult({ ...failed, message: 'no '.repeat(5000), sessions });
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_RESULT_BYTES);
    const read = parseCleanupResult(text);
    expect(read?.message).toMatch(/^no no .*\.\.\.$/);
    expect(read?.message).toHaveLength(1024);
    expect(read?.sessions?.length).toBeGreaterThan(150);
    expect(read?.sessions).toEqual(sessions.slice(0, read?.sessions?.length));
  });

  it('fits for any message and ids', () => {
    const ids = fc.array(fc.stringMatching(/^[A-Za-z0-9_-]{1,254}$/), { maxLength: 100 });
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 3000 }), ids, (message, sessions) => {
        const text = formatCleanupResult({ ...failed, message, sessions });
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_RESULT_BYTES);
        expect(parseCleanupResult(text)).toMatchObject({ result: 'Failed', errors: 1 });
      }),
    );
  });

  it('has as many volumes as fit, before any id', () => {
    const volumes = Array.from({ length: 64 }, (_, i) => ({
      name: `${'x'.repeat(60)}-${i}`,
      space: 100,
      size: 2 ** 30,
      files: 100,
    }));
    const text = formatCleanupResult({ ...failed, message: 'x'.repeat(2000), volumes });
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_RESULT_BYTES);
    const read = parseCleanupResult(text);
    expect(read?.volumes?.length).toBeGreaterThan(20);
    expect(read?.volumes).toEqual(volumes.slice(0, read?.volumes?.length));
    expect(read?.sessions).toEqual(failed.sessions);
  });

  it('ignores unknown fields', () => {
    expect(parseCleanupResult(JSON.stringify({ ...succeeded, duration: 5 }))).toEqual(succeeded);
  });

  it.each([
    ['nothing', ''],
    ['a log', '{"level":50,"msg":"uncaught exception"}\n{"level":30}'],
    ['one line of a log', '{"level":50,"msg":"uncaught exception"}'],
    ['a truncated result', formatCleanupResult(failed).slice(0, -10)],
    ['another kind of JSON', '[]'],
    ['null', 'null'],
    ['an unknown result', JSON.stringify({ ...succeeded, result: 'succeeded' })],
    ['no dryRun', JSON.stringify({ ...succeeded, dryRun: undefined })],
    ['a negative number', JSON.stringify({ ...succeeded, kept: -1 })],
    ['a count that is no number', JSON.stringify({ ...succeeded, deleted: '2' })],
    ['a fraction', JSON.stringify({ ...succeeded, errors: 0.5 })],
    ['a number that is no safe integer', JSON.stringify({ ...succeeded, freedBytes: 1 }).replace('1,', '1e300,')],
    ['a number that JSON makes infinite', JSON.stringify(succeeded).replace('54321', '1e999')],
    ['a message that is no text', JSON.stringify({ ...failed, message: {} })],
    ['volumes that are no list', JSON.stringify({ ...failed, volumes: {} })],
    ['a volume that is no object', JSON.stringify({ ...failed, volumes: [null] })],
    ['a volume without a name', JSON.stringify({ ...failed, volumes: [{ space: 1 }] })],
    [
      'more than 100 percent of a volume',
      JSON.stringify({ ...failed, volumes: [{ name: 'a-0', space: 101, size: 2 ** 30 }] }),
    ],
    [
      'files that are no percent',
      JSON.stringify({ ...failed, volumes: [{ name: 'a-0', space: 1, size: 2 ** 30, files: '5' }] }),
    ],
    ['invalid ids', JSON.stringify({ ...failed, sessions: ['../x'] })],
    ['ids that are no list', JSON.stringify({ ...failed, sessions: 'x' })],
    ['more than a termination message holds', `${JSON.stringify(succeeded)}${' '.repeat(MAX_RESULT_BYTES)}`],
  ])('is not read from %s', (_, text) => {
    expect(parseCleanupResult(text)).toBeUndefined();
  });

  it('has a long message truncated, in printable ASCII', () => {
    const text = JSON.stringify({ ...failed, message: `line\n\u001b[31mred ${'x'.repeat(2000)}` });
    const message = parseCleanupResult(text)?.message;
    expect(message).toMatch(/^line\?\?\[31mred x+\.\.\.$/);
    expect(message).toHaveLength(1024);
  });
});
