import { beforeEach, describe, expect, it } from '@jest/globals';
import { KubernetesStore } from '../../../../../src/gateway/locks/kubernetes/kubernetes-store.ts';
import { TransportError } from '../../../../../src/kube/types/errors.ts';
import { FakeClock, settle } from '../../../../support/fake-clock.ts';

/** What the API server does with requests. */
let behaves: 'Answers' | 'Hangs' | 'Refuses';
let asked: number;
let clock: FakeClock;
let store: KubernetesStore;
/** How each read has ended, and after how many ms. */
let ended: [outcome: string, ms: number][];

beforeEach(() => {
  behaves = 'Answers';
  asked = 0;
  ended = [];
  clock = new FakeClock();
  const get = async (_type: unknown, _ref: unknown, { deadlineMs }: { deadlineMs: number }): Promise<undefined> => {
    asked += 1;
    const request = { method: 'GET', path: '/leases' };
    if (behaves === 'Refuses') throw new TransportError(request, 'network', 'ECONNREFUSED');
    if (behaves === 'Answers') return undefined;
    await clock.sleep(deadlineMs);
    throw new TransportError(request, 'deadline', `no answer within ${deadlineMs} ms`);
  };
  store = new KubernetesStore({ client: { get } as never, clock, namespace: 'operator' });
});

function read(): void {
  const begun = clock.monotonic();
  const end = (outcome: string): void => void ended.push([outcome, clock.monotonic() - begun]);
  store.read({ tenant: 't', session: 's' }).then(
    () => end('Read'),
    ({ reason }: { reason: string }) => end(reason),
  );
}

describe('the store in Leases, whose API server does not answer', () => {
  it('waits for that once, and fails at once until it answers again', async () => {
    behaves = 'Hangs';
    read();
    await clock.advance(5_000);
    expect(ended.splice(0)).toEqual([['TimedOut', 5_000]]);
    expect(store.availability).toMatchObject({ state: 'Unavailable', reason: 'TimedOut' });
    for (let count = 0; count < 3; count += 1) {
      read();
      await settle();
      await clock.advance(10_000);
    }
    expect(ended.splice(0)).toEqual(Array.from({ length: 3 }, () => ['TimedOut', 0]));
    behaves = 'Answers';
    await clock.advance(10_000);
    expect(store.availability.state).toBe('Available');
    read();
    await settle();
    expect(ended).toEqual([['Read', 0]]);
    await store.close();
  });

  it('looks soon whether it was one answer that was late', async () => {
    behaves = 'Hangs';
    read();
    await clock.advance(5_000);
    behaves = 'Answers';
    await clock.advance(500);
    read();
    await settle();
    expect(ended).toEqual([
      ['TimedOut', 5_000],
      ['Read', 0],
    ]);
    await store.close();
  });

  it('is asked each time while it refuses connections: that is said at once, and may have passed', async () => {
    behaves = 'Refuses';
    read();
    await settle();
    behaves = 'Answers';
    read();
    await settle();
    expect(ended).toEqual([
      ['Unreachable', 0],
      ['Read', 0],
    ]);
    expect(asked).toBe(2);
    await store.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
