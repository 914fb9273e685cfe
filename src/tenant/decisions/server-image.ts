/** Decides the images of a server. */
import type { Deployment } from '../../kube/types/builtins.ts';
import { defaultImageOf, guardImageOf } from '../deployments.ts';
import type { ServerImage } from '../model.ts';

/**
 * The image in the spec, if there is one. Otherwise the operator's default image at the time that the live Deployment was started, and
 * without one the present default: an operator upgrade with a new default must not restart all servers at once. The same holds for its guard.
 */
export function serverImage(
  desired: { readonly image?: string | undefined; readonly default: string; readonly guard?: string | undefined },
  live: Deployment | undefined,
): ServerImage {
  const guard = desired.guard === undefined ? {} : { guard: guardImageOf(live) ?? desired.guard };
  if (desired.image !== undefined) return { image: desired.image, isDefault: false, ...guard };
  return { image: defaultImageOf(live) ?? desired.default, isDefault: true, ...guard };
}
