import { expect, it } from '@jest/globals';
import type { KubeClient } from '../../../src/kube/client/client.ts';
import { ListedPodFates } from '../../../src/resources/pod-fates.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';

interface Listing {
  readonly namespace: string | undefined;
  readonly end: (uids: readonly string[]) => void;
  readonly fail: (error: Error) => void;
}

function listed() {
  const lists: Listing[] = [];
  const clock = new FakeClock();
  const listAll = (_type: unknown, { namespace }: { namespace?: string } = {}) =>
    new Promise((resolve, reject) => {
      const end = (uids: readonly string[]) =>
        resolve({ items: uids.map((uid) => ({ metadata: { name: uid, uid } })) });
      lists.push({ namespace, end, fail: reject });
    });
  const client = { listAll } as unknown as Pick<KubeClient, 'listAll'>;
  return { lists, clock, fates: new ListedPodFates({ client, clock }) };
}

it('asks for all pods of the namespace, whatever their labels', async () => {
  const { lists, fates } = listed();
  const [there, gone] = [fates.fateOf('team', 'a'), fates.fateOf('other', 'b')];
  expect(lists.map(({ namespace }) => namespace)).toEqual(['team', 'other']);
  lists[0]?.end(['a']);
  lists[1]?.end(['a']);
  expect([(await there).isGone, (await gone).reason]).toEqual([false, 'Deleted']);
});

it('shares a list with others that ask meanwhile, and takes none that began before it was asked', async () => {
  const { lists, clock, fates } = listed();
  const first = fates.fateOf('team', 'a');
  const later = [fates.fateOf('team', 'new'), fates.fateOf('team', 'a')];
  expect(lists).toHaveLength(1);
  lists[0]?.end(['a']);
  await clock.advance(1_000);
  expect(lists).toHaveLength(2);
  lists[1]?.end(['new']);
  expect([await first, ...(await Promise.all(later))].map(({ isGone }) => isGone)).toEqual([false, false, true]);
});

it('begins no list of a namespace within a second of the one before, however often it is asked', async () => {
  const { lists, clock, fates } = listed();
  const answers: boolean[] = [];
  const ask = (): void => void fates.fateOf('team', 'a').then(({ isGone }) => answers.push(isGone));
  for (let ms = 0; ms < 10_000; ms += 100) {
    ask();
    await clock.advance(100);
    for (const { end } of lists) end(['a']);
    await settle();
  }
  expect(lists).toHaveLength(11);
  expect(answers).toHaveLength(100);
});

it('waits for a list that takes longer than a second, and no longer', async () => {
  const { lists, clock, fates } = listed();
  void fates.fateOf('team', 'a');
  const next = fates.fateOf('team', 'a');
  await clock.advance(5_000);
  expect(lists).toHaveLength(1);
  lists[0]?.end(['a']);
  await clock.advance(0);
  expect(lists).toHaveLength(2);
  lists[1]?.end([]);
  expect((await next).isGone).toBe(true);
});

it('takes a pod for gone only if it was told so', async () => {
  const { lists, clock, fates } = listed();
  const found = fates.fateOf('team', 'a');
  const next = fates.fateOf('team', 'a');
  lists[0]?.fail(new Error('the API server is away'));
  expect(await found).toEqual({
    reason: 'Unknown',
    isGone: false,
    message: 'the API server does not say what became of pod a: the API server is away',
  });
  await clock.advance(1_000);
  lists[1]?.end([]);
  expect((await next).isGone).toBe(true);
});
