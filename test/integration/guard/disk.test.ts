// What a guard keeps on disks: its own directory, and the shared volume.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import {
  appendFileSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FenceLog } from '../../../src/guard/fence-log.ts';
import { KeyFile } from '../../../src/guard/key-file.ts';
import { StampDisk } from '../../../src/guard/stamp-disk.ts';
import { Stamps } from '../../../src/guard/stamps.ts';
import { epochsOf } from '../../../src/resources/guard-protocol.ts';
import { grantKeyPem } from '../../../src/resources/session-grant.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'copilot-operator-guard-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('what a guard remembers in its own directory', () => {
  it('is there after its end, whenever that comes', async () => {
    const log = await FenceLog.open(root);
    await Promise.all(Array.from({ length: 200 }, (_, at) => log.save(`s${at}`, { epoch: at + 1, state: 'Open' })));
    await log.save('s7', { epoch: 900, state: 'Closed' });
    // Nothing is closed or flushed: what was promised is in the file.
    const again = await FenceLog.open(root);
    expect(again.all.size).toBe(200);
    expect(again.all.get('s7')).toEqual({ epoch: 900, state: 'Closed' });
    await Promise.all([log.close(), again.close()]);
  });

  it.each([
    ['a part of a line', '["s1",5,"Cl'],
    ['a line of zeros', '\0'.repeat(100)],
    ['a line that is none, and others behind it', 'x\n["s1",9,"Open"]\n'],
  ])('is what was there before %s', async (_what, end) => {
    const log = await FenceLog.open(root);
    await log.save('s1', { epoch: 4, state: 'Open' });
    await log.close();
    appendFileSync(join(root, 'epochs'), end);
    const again = await FenceLog.open(root);
    expect([...again.all]).toEqual([['s1', { epoch: 4, state: 'Open' }]]);
    await again.save('s2', { epoch: 1, state: 'Open' });
    await again.close();
    const last = await FenceLog.open(root);
    expect([...last.all.keys()]).toEqual(['s1', 's2']);
    await last.close();
  });

  it('is not in memory of sessions that were closed long ago, and is found when they come again', async () => {
    const log = await FenceLog.open(root, 10);
    for (let at = 0; at < 100; at += 1) {
      await log.save(`s${at}`, { epoch: at + 1, state: 'Open' });
      await log.save(`s${at}`, { epoch: at + 2, state: 'Closed' });
    }
    await log.save('open', { epoch: 7, state: 'Open' });
    expect(log.all.size).toBeLessThanOrEqual(22);
    expect(await log.find('s0')).toEqual({ epoch: 2, state: 'Closed' });
    expect(await log.find('s99')).toEqual({ epoch: 101, state: 'Closed' });
    expect(await log.find('never')).toBeUndefined();
    // What comes later counts, also when that is put aside in its turn, and when another process reads it.
    await log.save('s0', { epoch: 900, state: 'Closed' });
    expect(await log.find('s0')).toEqual({ epoch: 900, state: 'Closed' });
    for (let at = 100; at < 140; at += 1) await log.save(`s${at}`, { epoch: 1, state: 'Closed' });
    await log.close();
    const again = await FenceLog.open(root, 10);
    expect(again.all.has('s0')).toBe(false);
    expect(await again.find('s0')).toEqual({ epoch: 900, state: 'Closed' });
    expect(again.all.get('open')).toEqual({ epoch: 7, state: 'Open' });
    await again.close();
  });

  it('does not grow without end', async () => {
    const log = await FenceLog.open(root);
    for (let round = 0; round < 110; round += 1)
      await Promise.all(
        Array.from({ length: 100 }, (_, at) => log.save('s', { epoch: round * 100 + at + 1, state: 'Open' })),
      );
    expect(readFileSync(join(root, 'epochs'), 'utf8').split('\n').length).toBeLessThan(10_100);
    await log.close();
    const again = await FenceLog.open(root);
    expect(again.all.get('s')?.epoch).toBe(11_000);
    await again.close();
  });
});

describe('the stamps on a shared volume', () => {
  const self = { server: 't/s', pod: 'pod-1' };

  it('have one owner of each epoch, and are read by others as they were written', async () => {
    const one = new Stamps(new StampDisk(root, 'a'), self);
    const two = new Stamps(new StampDisk(root, 'b'), { server: 't/z', pod: 'pod-2' });
    const claims = await Promise.all([one.claim('x', 3), two.claim('x', 3)]);
    expect(claims.filter(Boolean)).toHaveLength(1);
    const [winner, loser] = claims[0] ? [one, two] : [two, one];
    expect(await winner.claim('x', 3)).toBe(true);
    await loser.close('x', 4);
    expect(await loser.read('x')).toMatchObject([{ epoch: 3, closedUnder: undefined }]);
    await winner.close('x', 4);
    expect(await loser.read('x')).toMatchObject([{ epoch: 3, closedUnder: 4 }]);
    await loser.claim('x', 4);
    await loser.forgetBelow('x', 4);
    expect(readdirSync(join(root, epochsOf('x')))).toEqual(['4']);
  });

  it('are not touched by what a guard that died had begun to write', async () => {
    const disk = new StampDisk(root, 'a');
    const stamps = new Stamps(disk, self);
    await stamps.claim('x', 1);
    const directory = join(root, epochsOf('x'));
    // It died between the link and the removal of the file that it had linked.
    linkSync(join(directory, '1'), join(directory, '.partial-b-1'));
    await new Stamps(new StampDisk(root, 'c'), self).claim('x', 2);
    expect(await stamps.read('x')).toMatchObject([{ epoch: 2 }, { epoch: 1 }]);
    await stamps.forgetBelow('x', 2);
    expect(readdirSync(directory)).toEqual(['2']);
  });

  it('are of sessions whose ids differ in case only', () => {
    expect(epochsOf('a')).not.toBe(epochsOf('A'));
    expect(epochsOf('a')).toMatch(/^\.copilot-operator\/epochs\/[0-9a-f]{2}\/[0-9a-f]{62}$/);
  });
});

describe('the file of keys', () => {
  const pem = (): string => grantKeyPem(generateKeyPairSync('ed25519')).publicKey;

  it('is read again when it has changed, and the keys before stay while it cannot be used', () => {
    const path = join(root, 'keys.pem');
    const failed: string[] = [];
    const file = new KeyFile(path, (message) => failed.push(message));
    expect(file.keys).toEqual([]);
    expect(file.keys).toEqual([]);
    expect(failed).toEqual([expect.stringContaining('ENOENT')]);
    writeFileSync(path, pem());
    const [first] = file.keys;
    expect(file.keys[0]).toBe(first);
    writeFileSync(`${path}.new`, `${pem()}${pem()}`);
    renameSync(`${path}.new`, path);
    expect(file.keys).toHaveLength(2);
    writeFileSync(path, 'nothing');
    expect(file.keys).toHaveLength(2);
    expect(failed).toEqual([expect.anything(), `${path}: no public key in PEM`]);
  });
});
