// Whether a volume can have stamps at all.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { StampDisk } from '../../../src/guard/stamp-disk.ts';
import { EPOCHS_DIRECTORY } from '../../../src/resources/guard-protocol.ts';

let root: string;
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), 'stamps-'))));
afterEach(() => rmSync(root, { recursive: true }));

function failing(code: string): () => Promise<void> {
  return () => Promise.reject(Object.assign(new Error(code), { code }));
}

describe('a volume', () => {
  it('that has hard links is fit, and has nothing left of the question', async () => {
    expect(await new StampDisk(root, 'w').unfitness()).toBeUndefined();
    expect(readdirSync(join(root, EPOCHS_DIRECTORY))).toEqual([]);
  });

  it.each(['ENOTSUP', 'EPERM', 'ENOSYS'])(
    'that answers a link with %s is named, with what can be used',
    async (code) => {
      const message = await new StampDisk(root, 'w', failing(code)).unfitness();
      expect(message).toContain(`the shared volume at ${root} has no hard links (${code})`);
      expect(message).toContain('NFS or CephFS');
      expect(readdirSync(join(root, EPOCHS_DIRECTORY))).toEqual([]);
    },
  );

  it('whose error may pass is not called unfit', async () => {
    await expect(new StampDisk(root, 'w', failing('ESTALE')).unfitness()).rejects.toThrow('ESTALE');
  });
});
