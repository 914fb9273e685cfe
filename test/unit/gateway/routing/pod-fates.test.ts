import { expect, it } from '@jest/globals';
import { ListedPodFates } from '../../../../src/gateway/routing/pod-fates.ts';
import type { KubeClient } from '../../../../src/kube/client/client.ts';
import { settle } from '../../../support/fake-clock.ts';

interface Listing {
  readonly namespace: string | undefined;
  readonly end: (uids: readonly string[]) => void;
  readonly fail: (error: Error) => void;
}

function listed() {
  const lists: Listing[] = [];
  const listAll = (_type: unknown, { namespace }: { namespace?: string } = {}) =>
    new Promise((resolve, reject) => {
      const end = (uids: readonly string[]) =>
        resolve({ items: uids.map((uid) => ({ metadata: { name: uid, uid } })) });
      lists.push({ namespace, end, fail: reject });
    });
  return { lists, fates: new ListedPodFates({ listAll } as unknown as Pick<KubeClient, 'listAll'>) };
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
  const { lists, fates } = listed();
  const first = fates.fateOf('team', 'a');
  const later = [fates.fateOf('team', 'new'), fates.fateOf('team', 'a')];
  expect(lists).toHaveLength(1);
  lists[0]?.end(['a']);
  await settle();
  expect(lists).toHaveLength(2);
  lists[1]?.end(['new']);
  expect([await first, ...(await Promise.all(later))].map(({ isGone }) => isGone)).toEqual([false, false, true]);
  void fates.fateOf('team', 'a');
  expect(lists).toHaveLength(3);
});

it('takes a pod for gone only if it was told so', async () => {
  const { lists, fates } = listed();
  const found = fates.fateOf('team', 'a');
  const next = fates.fateOf('team', 'a');
  lists[0]?.fail(new Error('the API server is away'));
  expect(await found).toEqual({
    reason: 'Unknown',
    isGone: false,
    message: 'the API server does not say what became of pod a: the API server is away',
  });
  await settle();
  lists[1]?.end([]);
  expect((await next).isGone).toBe(true);
});
