/** Decides the image of a server. */
import type { Deployment } from '../../kube/types/builtins.ts';
import { defaultImageOf } from '../deployments.ts';
import type { ServerImage } from '../model.ts';

/**
 * The image in the spec, if there is one. Otherwise the operator's default image at the time the server starts from zero
 * replicas, which it then keeps: a new operator version has a new default image, and an operator upgrade must restart no
 * server. A suspended server keeps it until it is resumed.
 */
export function serverImage(
  desired: { readonly image?: string; readonly running: boolean; readonly default: string },
  live: Deployment | undefined,
): ServerImage {
  if (desired.image !== undefined) return { image: desired.image, isDefault: false };
  const resumes = desired.running && live?.spec?.replicas === 0;
  return { image: (resumes ? undefined : defaultImageOf(live)) ?? desired.default, isDefault: true };
}
