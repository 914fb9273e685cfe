import { describe, expect, it } from '@jest/globals';
import type { Pod } from '../../../../src/kube/types/builtins.ts';
import { endedPods } from '../../../../src/tenant/decisions/ended-pods.ts';
import { container, pod } from '../fixtures.ts';

const full = 'Usage of EmptyDir volume "tmp" exceeds the limit "5Gi". ';
const evicted = pod({ phase: 'Failed', reason: 'Evicted', message: full }, { name: 'evicted' });
// As src/tenant/evictions.ts completes it from the kubelet's event.
const graceful = pod(
  {
    phase: 'Succeeded',
    reason: 'Evicted',
    message: full,
    containerStatuses: [container({ ready: false, state: { terminated: { exitCode: 0 } } })],
  },
  { name: 'graceful' },
);
const rejected = pod({ phase: 'Failed', reason: 'NodeAffinity', message: 'Pod was rejected' }, { name: 'rejected' });
const ended = pod({ phase: 'Succeeded' }, { name: 'ended' });
const running = pod();
const leaving = pod({ phase: 'Failed' }, { name: 'leaving', deletionTimestamp: '2026-01-02T03:00:00Z' });
const pending = pod({ phase: 'Pending', conditions: [], containerStatuses: [] }, { name: 'pending' });

const deleted = (pods: Pod[], runs = true) =>
  endedPods({ index: 0, pods }, 'acme-0', runs).map(({ pod: { metadata } }) => metadata.name);

describe('the ended pods of a server', () => {
  it.each<[string, Pod[], string[]]>([
    ['once another one runs', [evicted, graceful, rejected, running], ['evicted', 'graceful', 'rejected']],
    ['once another one was created', [evicted, pending], ['evicted']],
    ['but the last, which says why the server does not run', [evicted], []],
    [
      'but the newest of several',
      [{ ...evicted, metadata: { ...evicted.metadata, creationTimestamp: '2026-01-01T00:00:00Z' } }, rejected],
      ['evicted'],
    ],
    ['but not one that is terminating', [leaving, running], []],
    ['but not one that runs', [running], []],
  ])('are deleted %s', (_, pods, names) => {
    expect(deleted(pods)).toEqual(names);
  });

  it('are all deleted while their server should not run', () => {
    expect(deleted([evicted, rejected], false)).toEqual(['evicted', 'rejected']);
  });

  it('are reported with the field that prevents the next eviction', () => {
    const raise =
      'Server acme-0: its pod failed (Evicted): Usage of EmptyDir volume "tmp" exceeds the limit "5Gi". Raise spec.server.tmp.size.';
    expect(endedPods({ index: 0, pods: [evicted, graceful, rejected, ended, running] }, 'acme-0', true)).toMatchObject([
      { index: 0, reason: 'ServerEvicted', message: raise },
      { index: 0, reason: 'ServerEvicted', message: raise },
      { index: 0, reason: 'ServerPodFailed', message: expect.stringContaining('(NodeAffinity): Pod was rejected') },
      { index: 0, reason: 'ServerPodFailed', message: 'Server acme-0: its pod ended.' },
    ]);
  });
});
