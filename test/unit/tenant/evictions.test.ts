import { describe, expect, it } from '@jest/globals';
import type { KubeClient } from '../../../src/kube/client/client.ts';
import type { Pod } from '../../../src/kube/types/builtins.ts';
import { StatusError } from '../../../src/kube/types/errors.ts';
import { podCause } from '../../../src/tenant/decisions/pod-cause.ts';
import { withEvictions } from '../../../src/tenant/evictions.ts';
import { container, NOW, pod } from './fixtures.ts';

const message = 'Usage of EmptyDir volume "tmp" exceeds the limit "5Gi".';
const terminated = { terminated: { exitCode: 0 } };
const graceful = pod(
  { phase: 'Succeeded', containerStatuses: [container({ ready: false, state: terminated })] },
  { uid: 'uid-1' },
);

/** A client that answers a list of events with `answer`, and what was requested of it. */
function listing(answer: () => { items: object[] }): { client: KubeClient; selectors: unknown[] } {
  const selectors: unknown[] = [];
  const list = async (_: unknown, { fieldSelector }: { fieldSelector?: string }) => {
    selectors.push(fieldSelector);
    return answer();
  };
  return { client: { list } as unknown as KubeClient, selectors };
}

async function found(client: KubeClient, ...pods: Pod[]): Promise<readonly Pod[]> {
  const servers = await withEvictions(new Map([[0, { index: 0, pods }]]), client, new AbortController().signal);
  return servers.get(0)?.pods ?? [];
}

describe('a server that ended gracefully', () => {
  it.each([
    ['its pod has ended', graceful],
    [
      'its container has',
      pod({ containerStatuses: [container({ ready: false, state: terminated })] }, { uid: 'uid-1' }),
    ],
  ])('was evicted if an event says so, after %s, and is reported with the field', async (_, given) => {
    const { client, selectors } = listing(() => ({ items: [{ message }] }));
    const [seen] = await found(client, given);
    expect(selectors).toEqual(['involvedObject.uid=uid-1,reason=Evicted']);
    expect(seen && podCause(seen, 'acme-0', { now: NOW })?.message).toContain('Raise spec.server.tmp.size.');
  });

  it.each<[string, () => { items: object[] }]>([
    ['there is no event', () => ({ items: [] })],
    [
      'events may not be read',
      () => {
        throw new StatusError({ method: 'GET', path: '/events' }, { code: 403, reason: 'Forbidden' });
      },
    ],
  ])('is what it is if %s', async (_, answer) => {
    expect(await found(listing(answer).client, graceful)).toEqual([graceful]);
  });

  it('is reported as an error if the API server fails', async () => {
    const { client } = listing(() => {
      throw new Error('connection lost');
    });
    await expect(found(client, graceful)).rejects.toThrow('connection lost');
  });

  it('is the only one whose events are read', async () => {
    const { client, selectors } = listing(() => ({ items: [{ message }] }));
    const crashed = pod({ containerStatuses: [container({ state: { terminated: { exitCode: 1 } } })] });
    const evicted = pod({ phase: 'Failed', reason: 'Evicted', message });
    const leaving = { ...graceful, metadata: { ...graceful.metadata, deletionTimestamp: '2026-01-02T03:00:00Z' } };
    const pods = [pod(), crashed, evicted, leaving];
    expect(await found(client, ...pods)).toEqual(pods);
    expect(selectors).toEqual([]);
  });
});
