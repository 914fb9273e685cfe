import type { Deployment } from '../../kube/builtins.ts';
import { imageOf } from '../builders/deployment.ts';

/**
 * The image of a server. A spec that names one is obeyed. Otherwise the operator's default counts when the server
 * starts from nothing, and what runs keeps its image: a new version of the operator brings a new default, and
 * upgrading the operator restarts no server. A suspended server keeps it too, until it is resumed.
 */
export function serverImage(
  wanted: { readonly image?: string; readonly running: boolean; readonly default: string },
  live: Deployment | undefined,
): string {
  if (wanted.image !== undefined) return wanted.image;
  const resumes = wanted.running && live?.spec?.replicas === 0;
  return (resumes ? undefined : imageOf(live)) ?? wanted.default;
}
