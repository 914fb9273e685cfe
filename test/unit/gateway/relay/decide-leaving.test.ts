import { expect, it } from '@jest/globals';
import { decideLeaving, type LeavingServer } from '../../../../src/gateway/relay/fence/decide-leaving.ts';

const AWAY: LeavingServer = {
  hasSessions: true,
  isOpen: false,
  isDrainedForGood: false,
  isReturning: false,
  isThere: false,
  isPodGone: false,
};

it.each<[what: string, server: Partial<LeavingServer>, reason: string]>([
  ['nothing is there', { hasSessions: false, isPodGone: true }, 'Unused'],
  ['it was drained for good', { isDrainedForGood: true }, 'Drained'],
  ['it was drained for good, and its pod is still there', { isDrainedForGood: true, isThere: true }, 'Drained'],
  ['it is connected to', { isOpen: true }, 'Serves'],
  ['it is connected to, whatever the cache says', { isOpen: true, isPodGone: true }, 'Serves'],
  ['the connection was lost, and the pod serves', { isThere: true }, 'Serves'],
  ['its pod is replaced', { isReturning: true, isPodGone: true }, 'Returns'],
  ['its pod is gone', { isPodGone: true }, 'PodGone'],
  ['its pod is there, and does not serve', {}, 'PodLeft'],
])('%s', (_what, server, reason) => {
  expect(decideLeaving({ ...AWAY, ...server })).toMatchObject({ reason, message: expect.any(String) });
});
