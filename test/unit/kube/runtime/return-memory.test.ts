import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';

const MODULE = join(import.meta.dirname, '../../../../src/kube/runtime/return-memory.ts');

/** Resident bytes of a process before it has filled its heap, with a full heap, and when nobody uses that any more and it was returned. */
const PROGRAM = `
  import { returnMemory } from ${JSON.stringify(MODULE)};
  const { rss } = process.memoryUsage;
  const empty = rss();
  let kept = Array.from({ length: 1_000_000 }, (_, index) => ({ index, text: 'text ' + index }));
  const full = rss();
  kept = kept.length;
  returnMemory();
  console.log(JSON.stringify({ empty, full, returned: rss(), gc: typeof gc }));`;

it('what a full heap has needed is returned when it is empty, and the flag for that does not stay', () => {
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', PROGRAM], { encoding: 'utf8' });
  const { empty, full, returned, gc } = JSON.parse(stdout) as Record<'empty' | 'full' | 'returned', number> & {
    gc: string;
  };
  expect(full - returned).toBeGreaterThan((full - empty) / 2);
  expect(gc).toBe('undefined');
});
