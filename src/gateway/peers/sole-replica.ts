/** The homes of a gateway with one replica: all tenants are at home in it. */
import type { Homes } from './model.ts';

const nothing = (): void => undefined;

/** For a gateway that has no peers, and must have no second replica. */
export const SOLE_REPLICA: Homes = {
  route: () => Promise.resolve('Here'),
  misrouted: nothing,
  mayAct: true,
  release: nothing,
  onFenced: () => nothing,
  onPeerGone: () => nothing,
  drain: nothing,
};
