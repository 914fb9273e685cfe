// Epochs on the shared volume, when several guards claim at the same time: every order of their reads and writes that chance finds.
import { describe, expect, it } from '@jest/globals';
import { Sessions, type Caller } from '../../../src/guard/sessions.ts';
import { Stamps, type StampFiles } from '../../../src/guard/stamps.ts';
import { epochsOf } from '../../../src/resources/guard-protocol.ts';
import type { SessionGrant } from '../../../src/resources/session-grant.ts';
import { MemoryFences, MemoryFiles } from '../../support/guard-world.ts';
import { Dice } from '../../support/random.ts';
import { Turns } from '../../support/turns.ts';

const SESSION = 'a';

function guardOf(files: StampFiles, pod: string, failed: (error: unknown) => void = () => undefined) {
  const self = { tenant: 't/t', server: `t/${pod}`, pod };
  const sessions = new Sessions({ self, fences: new MemoryFences(), stamps: new Stamps(files, self), failed });
  const caller: Caller = { held: new Map(), isGone: false };
  return {
    sessions,
    grant: (epoch: number, intent: SessionGrant['intent'] = 'load') =>
      sessions.grant(caller, {
        tenant: 't/t',
        server: self.server,
        pod,
        session: SESSION,
        epoch,
        intent,
        issuedAt: '',
      }),
  };
}

describe('a stamp that no guard wrote', () => {
  it.each([
    ['', 'torn'],
    ['{"server":"t/p"}', 'without a pod'],
  ])('%j has the directory named that is to be removed', async (text) => {
    const files = new MemoryFiles();
    await files.create(`${epochsOf(SESSION)}/4`, text);
    const refusal = await guardOf(files, 'pod-1').grant(5);
    expect(refusal).toMatchObject({ rule: 'StorageFailed', message: expect.stringContaining(epochsOf(SESSION)) });
    expect(refusal?.message).toContain('suspend the tenant');
  });
});

describe('guards that claim a session at the same time', () => {
  it.each([
    ['one epoch', [5, 5, 5]],
    ['epochs of their own', [4, 5, 6]],
  ])('do not get it twice, under %s', async (_what, epochs) => {
    const winners = new Map<number, number>();
    for (let seed = 1; seed <= 500; seed += 1) {
      const turns = new Turns(new Dice(seed));
      const files = new MemoryFiles(() => turns.take('volume'));
      const results = epochs.map((epoch, index) => guardOf(files, `pod-${index}`).grant(epoch));
      while (await turns.step());
      const granted = (await Promise.all(results)).filter((refusal) => refusal === undefined).length;
      winners.set(granted, (winners.get(granted) ?? 0) + 1);
    }
    expect(Math.max(...winners.keys())).toBe(1);
    // Mostly one of them gets it.
    expect(winners.get(1)).toBeGreaterThan(200);
  });

  it('leave nothing behind that keeps others away for ever', async () => {
    const files = new MemoryFiles();
    const one = guardOf(files, 'pod-1');
    const two = guardOf(files, 'pod-2');
    // As a guard that died between its claim and its second look.
    await new Stamps(files, { server: 't/pod-3', pod: 'pod-3' }).claim(SESSION, 7);
    expect(await one.grant(8)).toMatchObject({ rule: 'NotClosed', holder: { pod: 'pod-3' } });
    expect(await guardOf(files, 'pod-3').grant(8, 'close')).toBeUndefined();
    await new Stamps(files, { server: 't/pod-3', pod: 'pod-3' }).close(SESSION, 8);
    expect(await one.grant(8)).toBeUndefined();
    expect(await two.grant(8)).toMatchObject({ rule: 'StaleEpoch', epoch: 8 });
    expect((await files.list(epochsOf(SESSION))).toSorted()).toEqual(['8']);
  });
});

describe('a guard whose volume fails', () => {
  it('refuses, and takes the same grant later', async () => {
    const files = new MemoryFiles();
    const errors: unknown[] = [];
    let isFull = true;
    const failing: StampFiles = {
      list: (directory) => files.list(directory),
      read: (path) => files.read(path),
      create: (path, text) => (isFull ? Promise.reject(new Error('ENOSPC')) : files.create(path, text)),
      replace: (path, text) => files.replace(path, text),
      remove: (path) => files.remove(path),
    };
    const guard = guardOf(failing, 'pod-1', (error) => errors.push(error));
    expect(await guard.grant(1)).toMatchObject({ rule: 'StorageFailed' });
    expect(errors).toEqual([new Error('ENOSPC')]);
    expect(guard.sessions.fenceOf(SESSION)).toBeUndefined();
    isFull = false;
    expect(await guard.grant(1)).toBeUndefined();
  });

  it('has a session closed at once, though that could not be stored', async () => {
    const files = new MemoryFiles();
    const fences = new MemoryFences();
    const self = { tenant: 't/t', server: 't/s', pod: 'p' };
    let isFull = false;
    const sessions = new Sessions({
      self,
      fences: {
        all: fences.all,
        find: (session) => fences.find(session),
        save: (...args) => (isFull ? Promise.reject(new Error('ENOSPC')) : fences.save(...args)),
      },
      stamps: new Stamps(files, self),
      failed: () => undefined,
    });
    const caller: Caller = { held: new Map(), isGone: false };
    const grant = { tenant: 't/t', server: 't/s', pod: 'p', session: SESSION, issuedAt: '' };
    await sessions.grant(caller, { ...grant, epoch: 1, intent: 'load' });
    isFull = true;
    expect(await sessions.grant(caller, { ...grant, epoch: 2, intent: 'close' })).toMatchObject({
      rule: 'StorageFailed',
    });
    expect(sessions.fenceOf(SESSION)).toEqual({ epoch: 2, state: 'Closed' });
  });
});
