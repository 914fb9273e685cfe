import type { Deployment } from '../../kube/types/builtins.ts';
import { defaultImageOf } from '../deployments.ts';
import type { ServerImage } from '../model.ts';

/**
 * The image of a server. A spec that names one is obeyed, and forgotten when it stops. Otherwise the operator's default
 * counts when the server starts from nothing, and a server that has been given a default keeps it: a new version of the
 * operator brings a new default, and upgrading the operator restarts no server. A suspended server keeps it too, until
 * it is resumed.
 */
export function serverImage(
  desired: { readonly image?: string; readonly running: boolean; readonly default: string },
  live: Deployment | undefined,
): ServerImage {
  if (desired.image !== undefined) return { image: desired.image, isDefault: false };
  const resumes = desired.running && live?.spec?.replicas === 0;
  return { image: (resumes ? undefined : defaultImageOf(live)) ?? desired.default, isDefault: true };
}
