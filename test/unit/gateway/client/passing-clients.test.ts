import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const PROGRAM = join(import.meta.dirname, '../../../support/passing-clients.ts');
/** With an old generation of this size, in MB, nothing else is collected meanwhile. */
const FLAGS = ['--expose-gc', '--max-semi-space-size=4', '--no-allocation-site-pretenuring', '--initial-heap-size=512'];
/** The program gives each client 16 KiB, and what node has of its streams is about 2. */
const LIMIT_BYTES = 6_000;

describe('clients that come and go leave nothing behind that only a full collection frees', () => {
  it.each([
    ['of a gateway of one replica', 'alone'],
    ['of a replica that is their home', 'routed'],
  ])('%s', (_, relay) => {
    const { stdout, stderr } = spawnSync(process.execPath, [...FLAGS, PROGRAM, relay], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(Number(stdout)).toBeGreaterThan(0);
    expect(Number(stdout)).toBeLessThan(LIMIT_BYTES);
  });
});
