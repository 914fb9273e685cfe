// The command `cleanup` on volumes whose server does not run: real processes on real directories.
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { existsSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, readFile, readdir, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { CleanupReport } from '../../../src/cleanup/report.ts';
import { cleanUp } from '../../../src/cleanup/run.ts';
import { systemClock } from '../../../src/kube/clock/clock.ts';
import { ext4Volume } from '../../support/small-disk.ts';
import { age, CleanupRun, DAY, HOUR, putMany, putSession, runCleanup, temporaryVolume } from '../../support/cleanup.ts';

// A run takes half a second, a few on a busy machine.
jest.setTimeout(60_000);

let volume: string;
let stack: AsyncDisposableStack;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  volume = stack.use(await temporaryVolume()).path;
});
afterEach(() => stack.disposeAsync());

const onVolume = (...args: string[]) => ['--ttl=168h', `--volume=acme-0=${volume}`, ...args];
const names = async () => (await readdir(volume)).toSorted();
const locks = async () => (await readdir(join(volume, '.session-operation-locks'))).toSorted();

describe('a cleanup of a volume', () => {
  it('deletes the sessions that are older than the TTL, with their locks, and reports their sizes', async () => {
    putSession(volume, 'old', {
      ageMs: 8 * DAY,
      journal: 'x'.repeat(1000),
      files: { 'files/a/b.txt': 'y'.repeat(500) },
    });
    putSession(volume, 'young', { ageMs: 6 * DAY });
    const { code, result, log } = await runCleanup(onVolume());
    expect(result).toMatchObject({
      result: 'Succeeded',
      dryRun: false,
      kept: 1,
      deleted: 1,
      errors: 0,
      sessions: ['old'],
    });
    expect(result?.freedBytes).toBeGreaterThanOrEqual(1500);
    expect(code).toBe(0);
    expect(await names()).toEqual(['.session-operation-locks', 'young']);
    expect(await locks()).toEqual(['young.lock']);
    expect(log.find(({ msg }) => msg === 'deleted')).toMatchObject({
      target: 'acme-0',
      session: 'old',
      bytes: result?.freedBytes,
      why: 'its last activity was 8d ago, the TTL is 7d',
    });
  });

  it('does not change a volume without old sessions', async () => {
    putSession(volume, 'young');
    const before = await lstat(volume);
    const { code, result } = await runCleanup(onVolume());
    expect([code, result?.kept, result?.deleted, result?.sweptFiles]).toEqual([0, 1, 0, 0]);
    expect((await lstat(volume)).mtimeMs).toBe(before.mtimeMs);
  });

  it('deletes nothing in a dry run, and reports what it would delete', async () => {
    putSession(volume, 'old', { ageMs: 8 * DAY });
    putSession(volume, 'stub', { ageMs: 8 * DAY, journal: null });
    await mkdir(join(volume, '.copilot-operator-deleted/half'), { recursive: true });
    const before = await readdir(volume, { recursive: true });
    const dry = await runCleanup(onVolume('--dry-run'));
    expect(dry.result).toMatchObject({
      result: 'Succeeded',
      dryRun: true,
      deleted: 1,
      sweptFiles: 2,
      sessions: ['old'],
    });
    expect(dry.log.map(({ msg }) => msg)).toEqual(['would sweep', 'would delete', 'would sweep', 'finished']);
    expect(await readdir(volume, { recursive: true })).toEqual(before);
    const real = await runCleanup(onVolume());
    expect(real.result).toEqual({ ...dry.result, dryRun: false });
  });

  it('keeps what policies keep, and no longer than they say', async () => {
    for (const id of ['kept', 'longer', 'over', 'plain']) putSession(volume, id, { ageMs: 20 * DAY });
    const file = join(volume, 'policies.json');
    const [month, week] = [{ ttlSeconds: 30 * 86_400 }, { ttlSeconds: 86_400 }];
    await writeFile(file, JSON.stringify({ sessions: { kept: { keep: true }, longer: month, over: week } }));
    const { result } = await runCleanup(onVolume(`--policies=${file}`));
    expect(result).toMatchObject({ result: 'Succeeded', kept: 2, deleted: 2, sessions: ['over', 'plain'] });
    expect(await names()).toEqual(['.session-operation-locks', 'kept', 'longer', 'policies.json']);
  });

  it.each([
    ['missing', undefined, 'failed to read policies file'],
    ['cut off', '{"sessions":{"old":{"ke', 'JSON'],
    [
      'about something else',
      '{"sessions":{"old":{"ttl":"9h"}}}',
      'the policy of session old has the unknown field "ttl"',
    ],
  ])('deletes nothing when its policies file is %s', async (_, content, reason) => {
    putSession(volume, 'old', { ageMs: 8 * DAY });
    const file = join(volume, 'policies.json');
    if (content !== undefined) await writeFile(file, content);
    const { code, result } = await runCleanup(onVolume(`--policies=${file}`));
    expect(result).toMatchObject({ result: 'Failed', deleted: 0, errors: 1 });
    expect(result?.message).toContain(reason);
    expect(code).toBe(1);
    expect(existsSync(join(volume, 'old/events.jsonl'))).toBe(true);
  });

  it('keeps a session with a recent lock, but not one with the lock of a server that died long ago', async () => {
    putSession(volume, 'locked', { ageMs: 8 * DAY, files: { 'inuse.7.lock': '', 'inuse.12.lock': '' } });
    putSession(volume, 'abandoned', { ageMs: 8 * DAY, files: { 'inuse.7.lock': '', 'inuse.7.hold': '' } });
    const recently = (Date.now() - HOUR) / 1000;
    await utimes(join(volume, 'locked/inuse.12.lock'), recently, recently);
    const { result } = await runCleanup(onVolume());
    expect(result).toMatchObject({ kept: 1, sessions: ['abandoned'] });
    expect(await names()).toEqual(['.session-operation-locks', 'locked']);
  });

  it('decides by the age of the journal alone, not by its size or other files', async () => {
    await truncate(join(putSession(volume, 'empty', { ageMs: 8 * DAY }), 'events.jsonl'), 0);
    const huge = putSession(volume, 'huge', { ageMs: 8 * DAY });
    await truncate(join(huge, 'events.jsonl'), 500e6);
    for (const id of ['empty', 'huge']) age(join(volume, id), 8 * DAY);
    await writeFile(join(huge, 'workspace.yaml'), 'touched now');
    await truncate(join(putSession(volume, 'huge-young'), 'events.jsonl'), 500e6);
    const { result } = await runCleanup(onVolume());
    expect(result).toMatchObject({ result: 'Succeeded', kept: 1, deleted: 2, sessions: ['empty', 'huge'] });
    expect(result?.freedBytes).toBeGreaterThan(500e6);
    expect(await names()).toEqual(['.session-operation-locks', 'huge-young']);
  });

  it('never changes foreign files, links and directories', async () => {
    const outside = stack.use(await temporaryVolume()).path;
    const target = putSession(outside, 'target', { ageMs: 90 * DAY });
    // A session with links that an agent created: the links are deleted, their targets are not.
    const old = putSession(volume, 'old', { ageMs: 90 * DAY });
    await symlink(outside, join(old, 'files/link'));
    await symlink(join(target, 'events.jsonl'), join(old, 'files/journal'));
    // Everything else stays.
    await symlink(target, join(volume, 'linked'));
    await symlink(join(volume, 'nowhere'), join(volume, 'dangling'));
    await mkdir(join(volume, 'linked-journal'));
    await symlink(join(target, 'events.jsonl'), join(volume, 'linked-journal/events.jsonl'));
    await writeFile(join(volume, 'a-file'), 'x');
    await mkdir(join(volume, 'notes'));
    await writeFile(join(volume, 'notes/todo.txt'), 'x');
    await mkdir(join(volume, 'journal-directory/events.jsonl'), { recursive: true });
    putSession(volume, 'lost+found', { ageMs: 90 * DAY });
    putSession(volume, '.hidden', { ageMs: 90 * DAY });
    putSession(volume, 'stub-with-work', { ageMs: 90 * DAY, journal: null, files: { 'files/draft.txt': 'x' } });
    await writeFile(join(volume, '.session-operation-locks/notes.txt'), 'x');
    await writeFile(join(volume, '.session-operation-locks/gone.lock'), 'not empty');
    const long = new Date(Date.now() - 90 * DAY);
    for (const path of ['a-file', 'notes', 'journal-directory', '.session-operation-locks/gone.lock']) {
      await utimes(join(volume, path), long, long);
    }
    const before = await names();
    const { code, result } = await runCleanup(onVolume());
    expect(result).toMatchObject({ result: 'Succeeded', deleted: 1, sessions: ['old'], errors: 0 });
    expect(code).toBe(0);
    expect(await names()).toEqual(before.filter((name) => name !== 'old'));
    expect(await readFile(join(volume, 'notes/todo.txt'), 'utf8')).toBe('x');
    expect(await readdir(target)).toEqual(expect.arrayContaining(['events.jsonl', 'workspace.yaml']));
    expect(existsSync(join(volume, 'stub-with-work/files/draft.txt'))).toBe(true);
    expect(await locks()).toEqual(['.hidden.lock', 'gone.lock', 'lost+found.lock', 'notes.txt', 'stub-with-work.lock']);
  });

  it('sweeps the locks that deletions left, and old stubs', async () => {
    putSession(volume, 'stub', {
      ageMs: 8 * DAY,
      journal: null,
      files: { 'inuse.7.lock': '', 'inuse.7.hold': '' },
    });
    putSession(volume, 'fresh-stub', { ageMs: 6 * DAY, journal: null });
    putSession(volume, 'used-stub', { ageMs: 8 * DAY, journal: null, files: { 'inuse.7.lock': '' } });
    await utimes(join(volume, 'used-stub/inuse.7.lock'), new Date(), new Date());
    await writeFile(join(volume, '.session-operation-locks/gone.lock'), '');
    const { result } = await runCleanup(onVolume());
    expect(result).toMatchObject({ result: 'Succeeded', kept: 0, deleted: 0, sweptFiles: 2 });
    expect(await names()).toEqual(['.session-operation-locks', 'fresh-stub', 'used-stub']);
    expect(await locks()).toEqual(['fresh-stub.lock', 'used-stub.lock']);
  });

  it('that only sweeps removes what deletions left, but no session and no stub of any age', async () => {
    putSession(volume, 'old', { ageMs: 800 * DAY });
    putSession(volume, 'stub', { ageMs: 800 * DAY, journal: null });
    putSession(join(volume, '.copilot-operator-deleted'), 'half', { journal: null });
    for (const name of ['gone.lock', 'notes.txt']) {
      await writeFile(join(volume, '.session-operation-locks', name), '');
    }
    await writeFile(join(volume, '.session-operation-locks/full.lock'), 'of somebody else');
    const sweep = ['--sweep', `--volume=acme-0=${volume}`];
    const dry = await runCleanup([...sweep, '--dry-run']);
    expect(dry.result).toMatchObject({ result: 'Succeeded', sweptFiles: 2 });
    expect(await locks()).toContain('gone.lock');
    const { code, result } = await runCleanup(sweep);
    expect(result).toMatchObject({ result: 'Succeeded', kept: 0, deleted: 0, sweptFiles: 2, errors: 0 });
    expect(code).toBe(0);
    expect(existsSync(join(volume, '.copilot-operator-deleted/half'))).toBe(false);
    expect(await locks()).toEqual(['full.lock', 'notes.txt', 'old.lock', 'stub.lock']);
    expect(await names()).toEqual(expect.arrayContaining(['old', 'stub']));
  });

  it('sweeps what a server leaves of an id that is too long for it and for the name of a lock', async () => {
    const id = 'x'.repeat(255);
    await mkdir(join(volume, id));
    const old = new Date(Date.now() - 8 * DAY);
    await utimes(join(volume, id), old, old);
    const { code, result } = await runCleanup(onVolume());
    expect([code, result?.message, result?.sweptFiles]).toEqual([0, undefined, 1]);
    expect(await names()).toEqual([]);
  });

  it('finishes what a killed run left', async () => {
    const trash = join(volume, '.copilot-operator-deleted');
    putSession(trash, 'half', { journal: null });
    await writeFile(join(trash, 'note'), 'not a session');
    const { result } = await runCleanup(onVolume());
    expect(result).toMatchObject({ result: 'Succeeded', deleted: 0, sweptFiles: 1 });
    expect((await readdir(trash)).toSorted()).toEqual(['.session-operation-locks', 'note']);
  });

  it('deletes in place when a session cannot be moved aside first', async () => {
    putSession(volume, 'old', { ageMs: 8 * DAY });
    await writeFile(join(volume, '.copilot-operator-deleted'), 'in the way');
    const { result } = await runCleanup(onVolume());
    expect(result).toMatchObject({ result: 'Succeeded', deleted: 1, errors: 0 });
    expect(await names()).toEqual(['.copilot-operator-deleted', '.session-operation-locks']);
  });

  it('survives a kill at any moment: the next run finishes', async () => {
    const files = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`files/${i}.txt`, 'x']));
    for (let i = 0; i < 150; i += 1) putSession(volume, `old-${i}`, { ageMs: 8 * DAY, files });
    putSession(volume, 'young');
    const run = new CleanupRun(onVolume());
    await run.logged('deleted');
    run.child.kill('SIGKILL');
    const killed = await run.ended;
    expect(killed.result).toBeUndefined();
    const left = (await names()).filter((name) => name.startsWith('old-'));
    expect(left.length).toBeGreaterThan(0);
    const { code, result } = await runCleanup(onVolume());
    expect([code, result?.result, result?.kept]).toEqual([0, 'Succeeded', 1]);
    expect(result?.deleted).toBe(left.length);
    expect(await names()).toEqual(['.session-operation-locks', 'young']);
  });

  it('stops after the current deletion on a signal, and reports it', async () => {
    const files = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`files/${i}.txt`, 'x']));
    for (let i = 0; i < 150; i += 1) putSession(volume, `old-${i}`, { ageMs: 8 * DAY, files });
    const run = new CleanupRun(onVolume());
    await run.logged('deleted');
    run.child.kill('SIGTERM');
    const { code, result } = await run.ended;
    expect([code, result?.result]).toEqual([1, 'Failed']);
    expect(result?.message).toBe('the run was stopped by a signal; the next run continues where it stopped');
    const left = await names();
    expect(left).toHaveLength(150 - (result?.deleted ?? 0) + 1);
    expect(left).not.toContain('.copilot-operator-deleted');
  });

  it('tolerates another run at the same time', async () => {
    const files = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`files/${i}.txt`, 'x']));
    for (let i = 0; i < 150; i += 1) putSession(volume, `old-${i}`, { ageMs: 8 * DAY, files });
    putSession(volume, 'young');
    const outcomes = await Promise.all([runCleanup(onVolume()), runCleanup(onVolume())]);
    for (const { code, result } of outcomes) expect([code, result?.errors, result?.message]).toEqual([0, 0, undefined]);
    expect(await names()).toEqual(['.session-operation-locks', 'young']);
    const [first = 0, second = 0] = outcomes.map(({ result }) => result?.deleted);
    expect(first + second).toBeGreaterThanOrEqual(150);
  });

  it('cleans up the other volumes when one is missing, and fails', async () => {
    putSession(volume, 'old', { ageMs: 8 * DAY });
    const { code, result } = await runCleanup(['--ttl=168h', '--volume=acme-1=/no/such', `--volume=acme-0=${volume}`]);
    expect(result).toMatchObject({ result: 'Failed', deleted: 1, errors: 1 });
    expect(result?.message).toMatch(/^acme-1: no such directory: mount the volume \(ENOENT/);
    expect(code).toBe(1);
  });

  it('handles 3,000 sessions', async () => {
    putMany(volume, 3000, (i) => (i % 100 === 0 ? 8 * DAY : DAY));
    const { code, result } = await runCleanup(onVolume());
    expect([code, result?.kept, result?.deleted]).toEqual([0, 2970, 30]);
    expect(await names()).toHaveLength(2970);
  });
});

describe('a cleanup of a volume with a problem', () => {
  const mounted = (script: string) => [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-ec',
    `${script}; exec "$@"`,
    'sh',
  ];

  it('reports that the volume is read-only', async () => {
    for (const id of ['old-1', 'old-2']) putSession(volume, id, { ageMs: 8 * DAY });
    const wrapper = mounted(`mount --bind ${volume} ${volume}; mount -o remount,ro,bind ${volume}`);
    const { code, result } = await runCleanup(onVolume(), { wrapper });
    expect(result).toMatchObject({ result: 'Failed', deleted: 0, errors: 1 });
    expect(result?.message).toMatch(/^acme-0: the volume is read-only: mount it writable, .*\(EROFS/);
    expect(code).toBe(1);
    expect(await names()).toEqual(['.session-operation-locks', 'old-1', 'old-2']);
  });

  it('frees a full one', async () => {
    putSession(volume, 'old', { ageMs: 8 * DAY, journal: 'x'.repeat(300_000) });
    putSession(volume, 'young', { journal: 'x'.repeat(300_000) });
    // A tmpfs of its own, filled to the last byte and the last inode; `dd` and `mkdir` fail by intent.
    const full = join(volume, 'mounted');
    await mkdir(full);
    const script =
      `mount -t tmpfs -o size=1m,nr_inodes=40 none ${full}; cp -a ${volume}/old ${volume}/young ${full}/; ` +
      `dd if=/dev/zero of=${full}/fill bs=1k 2>/dev/null || true; ` +
      `i=0; while mkdir ${full}/d$i 2>/dev/null; do i=$((i+1)); done; ! (echo x >${full}/more) 2>/dev/null`;
    const after = `"$@" && ls ${full} | grep -v '^d[0-9]' >${volume}/left && echo new >${full}/old-again; exit $?`;
    const wrapper = [...mounted(script).slice(0, 6), `${script}; ${after}`, 'sh'];
    const { code, result, stderr } = await runCleanup(['--ttl=168h', `--volume=acme-0=${full}`], { wrapper });
    expect(stderr).toBe('');
    expect(result).toMatchObject({ result: 'Succeeded', deleted: 1, kept: 1, sessions: ['old'] });
    expect(code).toBe(0);
    expect((await readFile(join(volume, 'left'), 'utf8')).split('\n')).toEqual(['fill', 'young', '']);
  });

  it('fails for a session that it may not delete, and deletes the others', async () => {
    const [uid, other] = [10_001, 10_002];
    const own = putSession(volume, 'own', { ageMs: 8 * DAY, files: { 'files/cache/module.txt': 'x' } });
    const foreign = putSession(volume, 'foreign', { ageMs: 8 * DAY });
    for (const path of await readdir(volume, { recursive: true })) {
      await chown(join(volume, path), path.startsWith('foreign') ? other : uid, uid);
    }
    // Sticky: entries may be removed by their owners only.
    await chown(volume, other, uid);
    await chmod(volume, 0o1775);
    // As package managers create them: a directory that its own owner can't write to.
    await chmod(join(own, 'files/cache'), 0o555);
    const { code, log } = await runCleanup(onVolume(), { uid });
    const finished = log.find(({ msg }) => msg === 'finished');
    expect(finished).toMatchObject({ result: 'Failed', deleted: 1, errors: 1, sessions: ['own'] });
    expect(finished?.['message']).toMatch(
      /^acme-0: session foreign: .* the files must belong to the user that the servers run as/,
    );
    expect(code).toBe(1);
    expect(await readdir(foreign)).toContain('events.jsonl');
  });
});

describe('the deletion of one session on a volume', () => {
  const one = (id: string) =>
    runCleanup([`--delete-session=${id}`, `--volume=acme-0=${volume}`, `--volume=b=${volume}`]);

  it.each<[string, string, string | undefined, boolean]>([
    ['is deleted for its owner', '{"version":1,"metadata":{"copilot-operator.dev/owner":"bob"}}', 'bob', true],
    ['is deleted when it has no owner', '{"version":1,"metadata":{"theirs":"x"}}', undefined, true],
    ['stays for another', '{"version":1,"metadata":{"copilot-operator.dev/owner":"alice"}}', 'bob', false],
    ['stays without an owner', '{"version":1,"metadata":{"copilot-operator.dev/owner":"alice"}}', undefined, false],
  ])('%s', async (_case, metadata, owner, isDeleted) => {
    putSession(volume, 'a', { files: { 'client-metadata.json': metadata } });
    const session = owner === undefined ? 'a' : `a=${owner}`;
    const { code, result, log } = await runCleanup([`--delete-session=${session}`, `--volume=acme-0=${volume}`]);
    expect([code, result?.deleted, result?.kept]).toEqual([0, isDeleted ? 1 : 0, isDeleted ? 0 : 1]);
    expect(existsSync(join(volume, 'a'))).toBe(!isDeleted);
    expect(await locks()).toEqual(isDeleted ? [] : ['a.lock']);
    expect(JSON.stringify(log)).not.toContain('alice');
  });

  it.each(['not json', '{"version":2}', '{"version":1,"metadata":{"copilot-operator.dev/owner":7}}'])(
    'stays when its owner can’t be read: %s',
    async (metadata) => {
      putSession(volume, 'a', { files: { 'client-metadata.json': metadata } });
      const { code, result } = await runCleanup(['--delete-session=a=bob', `--volume=acme-0=${volume}`]);
      expect([code, result?.deleted]).toEqual([1, 0]);
      expect(result?.message).toContain('session a was not deleted: the owner of the data has not been read yet');
      expect(existsSync(join(volume, 'a'))).toBe(true);
    },
  );

  it('deletes it and its lock, of any age', async () => {
    putSession(volume, 's1', { files: { 'inuse.7.lock': '' } });
    putSession(volume, 's2', { ageMs: 90 * DAY });
    putSession(join(volume, '.copilot-operator-deleted'), 's3', {});
    const { code, result } = await one('s1');
    expect([code, result?.deleted, result?.sessions]).toEqual([0, 1, ['s1']]);
    expect(await names()).toEqual(['.copilot-operator-deleted', '.session-operation-locks', 's2']);
    expect(await locks()).toEqual(['s2.lock']);
    expect((await one('s3')).code).toBe(0);
    expect(existsSync(join(volume, '.copilot-operator-deleted/s3'))).toBe(false);
  });

  it('deletes what a session without a turn left', async () => {
    putSession(volume, 's1', { journal: null });
    const { code, result } = await one('s1');
    expect([code, result?.deleted]).toEqual([0, 1]);
    expect(await locks()).toEqual([]);
  });

  it('succeeds when it does not exist', async () => {
    const { code, result } = await one('s1');
    expect(result).toMatchObject({ result: 'Succeeded', deleted: 0, errors: 0 });
    expect(code).toBe(0);
  });

  it('does not delete a directory that is not a session, and reports it', async () => {
    await mkdir(join(volume, 'notes'));
    await writeFile(join(volume, 'notes/todo.txt'), 'x');
    const { code, result } = await one('notes');
    expect(result?.message).toContain('directory notes was not deleted: it has files that do not belong to a session');
    expect([code, result?.deleted]).toEqual([1, 0]);
    expect(existsSync(join(volume, 'notes/todo.txt'))).toBe(true);
  });

  it('does not follow a link of its name', async () => {
    const outside = stack.use(await temporaryVolume()).path;
    const target = putSession(outside, 'target');
    await symlink(target, join(volume, 's1'));
    const { code, result } = await one('s1');
    expect([code, result?.deleted]).toEqual([0, 0]);
    expect(existsSync(join(target, 'events.jsonl'))).toBe(true);
  });
});

describe('the deletion of many sessions on a volume', () => {
  it('reports an outcome for each, and one that fails does not keep the others', async () => {
    const alice = '{"version":1,"metadata":{"copilot-operator.dev/owner":"alice"}}';
    for (const id of ['a', 'b', 'c']) putSession(volume, id);
    for (const id of ['hers', 'his']) putSession(volume, id, { files: { 'client-metadata.json': alice } });
    putSession(volume, 'odd', { files: { 'client-metadata.json': 'not json' } });
    putSession(volume, 'other');
    const requests = ['a', 'hers=alice', 'gone', 'his=bob', 'odd=bob', 'b=bob', 'c'];
    const { code, result } = await runCleanup([
      ...requests.map((request) => `--delete-session=${request}`),
      `--volume=acme-0=${volume}`,
    ]);
    expect(result?.outcomes).toEqual([
      'Deleted',
      'Deleted',
      'NotFound',
      'OwnedByAnother',
      'Failed',
      'Deleted',
      'Deleted',
    ]);
    expect([code, result?.result, result?.errors]).toEqual([1, 'Failed', 1]);
    expect((await names()).filter((name) => !name.startsWith('.'))).toEqual(['his', 'odd', 'other']);
  });

  it('is one run for a thousand, whose result fits', async () => {
    const ids = Array.from({ length: 1000 }, (_, i) => `${'s'.repeat(30)}-${i}`);
    for (const id of ids) putSession(volume, id);
    const { code, result } = await runCleanup([
      ...ids.map((id) => `--delete-session=${id}=${'u'.repeat(200)}`),
      `--volume=acme-0=${volume}`,
    ]);
    expect([code, result?.deleted, result?.outcomes?.length]).toEqual([0, 1000, 1000]);
    expect(new Set(result?.outcomes)).toEqual(new Set(['Deleted']));
    expect(await names()).toEqual(['.session-operation-locks']);
  });

  it('ends by itself when it takes too long, with the outcomes so far', async () => {
    const ids = ['a', 'b', 'c', 'd'];
    for (const id of ids) putSession(volume, id);
    // Each look at the clock takes a minute: one at the start, and one before each session.
    let minutes = 0;
    const clock = { ...systemClock, monotonic: () => (minutes += 1) * 60_000 };
    const log = pino({ level: 'silent' });
    const options = {
      task: { sessions: ids.map((sessionId) => ({ sessionId, owner: undefined })), maxMs: 2 * 60_000 },
      dryRun: false,
      targets: [{ name: 'acme-0', volume }],
      token: '',
      resultFile: undefined,
    };
    const context = { clock, log, stop: new AbortController().signal, report: new CleanupReport(false, log) };
    const result = await cleanUp(options, context);
    expect(result).toMatchObject({ result: 'Failed', outcomes: ['Deleted', 'Deleted'] });
    expect(result.message).toContain('--stop-after');
    expect((await names()).filter((name) => !name.startsWith('.'))).toEqual(['c', 'd']);
  });
});

describe('how full a volume is', () => {
  it.each([
    ['--ttl=168h', 'old'],
    ['--delete-session=old', 'old'],
    ['--sweep', ''],
  ])('is told of its space and of its files, as they are after the work: %s', async (task, deleted) => {
    using disk = ext4Volume(16);
    putSession(disk.path, 'old', { ageMs: 8 * DAY, files: { 'files/large': 'x'.repeat(8 * 2 ** 20) } });
    putSession(disk.path, 'young');
    // Uses the last inode.
    await mkdir(join(disk.path, 'old/files/many'));
    const many = Array.from({ length: 1100 }, (_, i) => writeFile(join(disk.path, 'old/files/many', `${i}`), ''));
    const results = await Promise.allSettled(many);
    expect(results.some(({ status }) => status === 'rejected')).toBe(true);
    await utimes(join(disk.path, 'old'), 0, 0);
    const { code, result } = await runCleanup([task, `--volume=acme-0=${disk.path}`]);
    expect([code, result?.sessions?.join()]).toEqual([0, deleted || undefined]);
    const [seen, ...others] = result?.volumes ?? [];
    expect([seen?.name, others]).toEqual(['acme-0', []]);
    if (deleted) {
      expect(seen?.files).toBeLessThan(10);
      expect(seen?.space).toBeLessThan(10);
    } else {
      expect(seen?.files).toBe(100);
      expect(seen?.space).toBeGreaterThan(50);
      expect(seen?.space).toBeLessThan(85);
    }
  });

  it('is reported for each volume that is mounted', async () => {
    const { code, result } = await runCleanup(['--sweep', `--volume=acme-0=${volume}`, '--volume=acme-1=/nowhere']);
    expect(code).toBe(0);
    expect(result?.volumes).toEqual([expect.objectContaining({ name: 'acme-0', space: expect.any(Number) })]);
  });
});
