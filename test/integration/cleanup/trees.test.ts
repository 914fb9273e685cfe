// Sessions whose files are hard to remove, as agents and package managers leave them: real processes on a real file system.
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, link, mkdir, readdir, rename, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ext4Volume } from '../../support/small-disk.ts';
import { DAY, putDeepTree, putSession, runCleanup, temporaryVolume } from '../../support/cleanup.ts';

jest.setTimeout(120_000);

/** The user of the servers' pods; root may do what this one may not. */
const UID = 10_001;

let volume: string;
let stack: AsyncDisposableStack;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  volume = stack.use(await temporaryVolume()).path;
  await chown(volume, UID, UID);
});
afterEach(() => stack.disposeAsync());

const names = async () => (await readdir(volume)).toSorted();
const bytes = (...parts: (string | number[] | Buffer)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))));

interface Tree {
  readonly what: string;
  readonly make: (files: string) => Promise<void>;
}

const TREES: readonly Tree[] = [
  {
    what: 'names that are no UTF-8, and those of 255 bytes',
    make: async (files) => {
      const latin = bytes(files, '/caf', [0xe9]);
      await mkdir(latin);
      await writeFile(bytes(latin, '/', [0xff, 0xfe, 0x80]), 'x');
      await symlink('/etc/passwd', bytes(files, '/link', [0xc3]));
      await mkdir(join(files, 'd'.repeat(255)));
      await writeFile(join(files, 'd'.repeat(255), 'ü'.repeat(127)), 'x');
      await writeFile(bytes(files, '/line\nend\\', [0x01]), 'x');
    },
  },
  {
    what: 'paths of more than 4,096 bytes',
    make: async (files) => putDeepTree(files, 'd'.repeat(200), 100),
  },
  {
    what: 'paths of more than 4,096 bytes with names of 255 bytes that are no UTF-8',
    make: async (files) => {
      let top = Buffer.from(files);
      for (let i = 0; i < 7; i += 1) {
        top = bytes(top, '/', [0xe9], 'x'.repeat(254));
        await mkdir(top);
      }
      putDeepTree(files, 'ä'.repeat(127), 60);
      await rename(join(files, 'part-8'), bytes(top, '/part'));
    },
  },
  {
    what: 'thousands of directories one in the other, and files in the names of those that are moved up',
    make: async (files) => {
      putDeepTree(files, 'd', 2_200);
      await writeFile(join(files, '../deep-0'), 'x');
      await mkdir(join(files, '../deep-1/inner'), { recursive: true });
    },
  },
  {
    what: 'directories that their owner may neither read, enter nor change',
    make: async (files) => {
      for (const [name, mode] of Object.entries({ none: 0, read: 0o444, enter: 0o111, change: 0o222, fixed: 0o555 })) {
        await mkdir(join(files, name, 'inner/inner'), { recursive: true });
        await writeFile(join(files, name, 'inner/inner/file'), 'x');
        await chmod(join(files, name, 'inner/inner'), mode);
        await chmod(join(files, name, 'inner'), mode);
        await chmod(join(files, name), mode);
      }
    },
  },
];

/** All files are the servers' user's; modes stay. */
const own = (path: string) => execFileSync('chown', ['-R', '-h', `${UID}:${UID}`, path]);

describe('sessions that are hard to remove', () => {
  it.each(TREES)('are removed by age: $what', async ({ make }) => {
    for (const id of ['odd', 'plain']) putSession(volume, id, { ageMs: 8 * DAY });
    putSession(volume, 'young');
    await make(join(volume, 'odd/files'));
    own(volume);
    const { code, log } = await runCleanup(['--ttl=168h', `--volume=acme-0=${volume}`], { uid: UID });
    expect(log.find(({ msg }) => msg === 'finished')).toMatchObject({ result: 'Succeeded', deleted: 2, errors: 0 });
    expect(code).toBe(0);
    expect(await names()).toEqual(['.session-operation-locks', 'young']);
  });

  it.each(TREES)('are removed one by one, also in place: $what', async ({ make }) => {
    putSession(volume, 'odd');
    await make(join(volume, 'odd/files'));
    // Nothing can be moved aside.
    await writeFile(join(volume, '.copilot-operator-deleted'), '');
    own(volume);
    const { code } = await runCleanup(['--delete-session=odd', `--volume=acme-0=${volume}`], { uid: UID });
    expect(code).toBe(0);
    expect(await names()).toEqual(['.copilot-operator-deleted', '.session-operation-locks']);
  });

  it.each(TREES)('are finished after a run that was killed: $what', async ({ make }) => {
    await mkdir(join(volume, '.copilot-operator-deleted/odd/files'), { recursive: true });
    await make(join(volume, '.copilot-operator-deleted/odd/files'));
    own(volume);
    const { code } = await runCleanup(['--sweep', `--volume=acme-0=${volume}`], { uid: UID });
    expect(code).toBe(0);
    expect(await names()).toEqual([]);
  });

  it('are removed on a full file system', async () => {
    using disk = ext4Volume(16);
    putSession(disk.path, 'odd', { ageMs: 8 * DAY });
    putDeepTree(join(disk.path, 'odd/files'), 'd'.repeat(200), 60);
    own(disk.path);
    const fill = Array.from({ length: 40 }, (_, i) =>
      writeFile(join(disk.path, `fill-${i}`), Buffer.alloc(2 ** 20, 1)),
    );
    const filled = await Promise.allSettled(fill);
    expect(filled.some(({ status }) => status === 'rejected')).toBe(true);
    const { code } = await runCleanup(['--ttl=168h', `--volume=acme-0=${disk.path}`], { uid: UID });
    expect(code).toBe(0);
    expect(await readdir(disk.path)).not.toContain('odd');
  });

  it('count the bytes of a file with several links once, and not those that others keep', async () => {
    const session = putSession(volume, 'linked', { ageMs: 8 * DAY, journal: 'x' });
    await writeFile(join(volume, 'kept'), 'y'.repeat(50_000));
    await writeFile(join(session, 'files/one'), 'y'.repeat(10_000));
    await mkdir(join(session, 'files/more'));
    for (let i = 0; i < 300; i += 1) await link(join(session, 'files/one'), join(session, `files/more/${i}`));
    await link(join(volume, 'kept'), join(session, 'files/kept'));
    own(volume);
    const dry = await runCleanup(['--ttl=168h', `--volume=acme-0=${volume}`, '--dry-run']);
    const { result } = await runCleanup(['--ttl=168h', `--volume=acme-0=${volume}`]);
    expect(result).toMatchObject({ result: 'Succeeded', deleted: 1 });
    expect(result?.freedBytes).toBeGreaterThanOrEqual(10_000);
    expect(result?.freedBytes).toBeLessThan(11_000);
    expect(dry.result?.freedBytes).toBe(result?.freedBytes);
    expect(await names()).toEqual(['.session-operation-locks', 'kept']);
  });

  it('fail alone, and lose all that can be removed; the journal stays while anything does', async () => {
    for (const id of ['a', 'b', 'c']) putSession(volume, id, { ageMs: 8 * DAY });
    await mkdir(join(volume, 'b/files/foreign'));
    await writeFile(join(volume, 'b/files/foreign/file'), 'x');
    await writeFile(join(volume, 'b/files/own'), 'x');
    own(volume);
    await chown(join(volume, 'b/files/foreign'), 0, 0);
    await writeFile(join(volume, '.copilot-operator-deleted'), '');
    for (let run = 1; run <= 2; run += 1) {
      // What is removed changes no time of the journal.
      const { code, log } = await runCleanup(['--ttl=168h', `--volume=acme-0=${volume}`], { uid: UID });
      const finished = log.find(({ msg }) => msg === 'finished');
      expect(finished).toMatchObject({ result: 'Failed', deleted: run === 1 ? 2 : 0, errors: 1 });
      expect(finished?.['message']).toMatch(/^acme-0: session b: .* must belong to the user that the servers run as/);
      expect(code).toBe(1);
    }
    expect(await readdir(join(volume, 'b'), { recursive: true })).toEqual(
      expect.arrayContaining(['events.jsonl', 'files/foreign/file']),
    );
    expect(existsSync(join(volume, 'b/files/own'))).toBe(false);
    expect(existsSync(join(volume, 'a'))).toBe(false);
    expect(existsSync(join(volume, 'c'))).toBe(false);
  });

  it('keep the targets of their links, also of links to directories', async () => {
    const outside = stack.use(await temporaryVolume()).path;
    putSession(outside, 'target');
    const session = putSession(volume, 'old', { ageMs: 8 * DAY });
    for (const name of ['deep-0', 'files/link']) await symlink(join(outside, 'target'), join(session, name));
    putDeepTree(join(session, 'files'), 'd'.repeat(200), 60);
    await utimes(join(session, 'events.jsonl'), 0, 0);
    const { code } = await runCleanup(['--ttl=168h', `--volume=acme-0=${volume}`]);
    expect(code).toBe(0);
    expect(await names()).toEqual(['.session-operation-locks']);
    expect(await readdir(join(outside, 'target'))).toContain('events.jsonl');
  });
});
