// The page that answers GitHub's guide to scaling has a row for each of its parts, and none that puts the reader off.
import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const PAGE = readFileSync(join(import.meta.dirname, '../../../docs/guide.md'), 'utf8');
/** First and second cell of every row of the tables about the guide. */
const rows = new Map(
  PAGE.slice(PAGE.indexOf('## Every part of the scaling guide'))
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line): [string, string] => {
      const [, first = '', second = ''] = line.split('|').map((cell) => cell.trim());
      return [first, second];
    }),
);

/** Headings, helpers in code, and rows of the tables of the guide. */
const PARTS = [
  'Pattern 1',
  'Pattern 2',
  'getSessionId',
  'resumeSessionWithAuth',
  'Pattern 3',
  'withSessionLock',
  'comparison of the patterns',
  'several servers behind a load balancer',
  'getNextServer',
  'getServerForUser',
  'sticky sessions or shared storage',
  'tuning a single server',
  'SessionManager',
  'ephemeral sessions',
  'persistent sessions',
  'Kubernetes with persistent storage',
  'Azure Container Instances',
  'session cleanup',
  'health checks',
  'storage',
  'secrets',
  'monitoring',
  'session locking',
  'graceful shutdown',
  'no session locking',
  'no load balancing',
  'state is files',
  'an idle timeout of 30 minutes',
  'one process',
];

describe('the page about the scaling guide', () => {
  it.each(PARTS)('says what to write for: %s', (part) => {
    const found = [...rows].find(([guide]) => guide.includes(part));
    expect(found?.[1]).toMatch(/\w/);
  });

  it('names the faults of the lock of the guide', () => {
    const found = [...rows].find(([guide]) => guide.includes('withSessionLock'));
    for (const fault of [/not renewed/, /two steps/, /nothing stops who has lost it/])
      expect(found?.[1]).toMatch(fault);
  });

  it('puts nothing off', () => {
    for (const [, here] of rows) expect(here).not.toMatch(/waits for|not yet|planned|in future/i);
  });
});
