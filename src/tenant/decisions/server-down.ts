/** Decides whether a server has nothing to lose when its pod is replaced. */
import { StalledReason } from '../../api/conditions.ts';
import type { ServerObservation } from '../model.ts';

/** Whether no server process runs: its pod fails, or has not started. On a lost node it may still run, and write to its volume. */
export function isDown({ state, portOpen, cause }: Pick<ServerObservation, 'state' | 'portOpen' | 'cause'>): boolean {
  return !portOpen && (state === 'Failed' || state === 'Pending') && cause?.reason !== StalledReason.NodeLost;
}
