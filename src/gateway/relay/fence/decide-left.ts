/** Decides whether a server has left a session, by the epochs on the shared volume: it may be away, and need not be asked then. */
import type { StampedEpoch } from '../../../resources/guard-protocol.ts';
import type { LeftPlace } from '../../locks/store.ts';

export interface LeftVerdict {
  /** `Closed` and `Replaced`: it has left it. */
  readonly reason: 'Closed' | 'Replaced' | 'Open' | 'Unproven';
  readonly message: string;
}

/**
 * Only what the volume says of a later epoch than the last one under which the session was to be at the place is a proof: whoever took the
 * session under that one had it left there before. That nothing is said proves nothing, because a volume can lose its epochs.
 */
export function decideLeft({ podUID, epoch }: LeftPlace, stamps: readonly StampedEpoch[]): LeftVerdict {
  const own = stamps.filter(({ pod }) => pod === podUID);
  if (own.some(({ closedUnder }) => closedUnder === undefined))
    return { reason: 'Open', message: 'by the volume the pod has it' };
  if (epoch !== undefined && own.some(({ closedUnder = 0 }) => closedUnder > epoch))
    return { reason: 'Closed', message: 'by the volume the pod has closed it since' };
  if (epoch !== undefined && stamps.some((stamp) => stamp.epoch > epoch))
    return { reason: 'Replaced', message: 'by the volume another pod has taken it since' };
  return { reason: 'Unproven', message: 'the volume does not say that the pod has closed it' };
}
