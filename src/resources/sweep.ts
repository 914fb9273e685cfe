/**
 * A sweep of a server's volume, asked for on its claim (docs/adr/0015-sweep-asked-for-on-the-claim.md). Who deletes sessions through a
 * running server asks for it, the tenant controller has a Job do it; the request outlives both, and the tenant if its volume does.
 */
import { Annotation, FIELD_MANAGER } from '../api/names.ts';
import { PersistentVolumeClaim } from '../kube/builtins.ts';
import type { KubeClient } from '../kube/client.ts';
import { timestamp } from '../kube/time.ts';
import { nameOf, type KubeObject } from '../kube/types.ts';

/** What a claim asks for, or what a Job was made for; undefined: no sweep. */
export function sweepAt({ metadata }: KubeObject): string | undefined {
  return metadata.annotations?.[Annotation.sweepAt];
}

/** Asks for a sweep at wall-clock `at`, in ms. The last request counts. */
export function askForSweep(
  client: KubeClient,
  claim: PersistentVolumeClaim,
  at: number,
  signal: AbortSignal,
): Promise<unknown> {
  const { uid } = claim.metadata;
  return patchClaim(client, claim, { uid, annotations: { [Annotation.sweepAt]: timestamp(at) } }, signal);
}

/** Takes the request off that `claim` shows. A Conflict when there is a newer one. */
export function endSweep(client: KubeClient, claim: PersistentVolumeClaim, signal: AbortSignal): Promise<unknown> {
  const { uid, resourceVersion } = claim.metadata;
  return patchClaim(client, claim, { uid, resourceVersion, annotations: { [Annotation.sweepAt]: null } }, signal);
}

function patchClaim(client: KubeClient, claim: PersistentVolumeClaim, metadata: object, signal: AbortSignal) {
  const options = { contentType: 'application/merge-patch+json', fieldManager: FIELD_MANAGER, signal } as const;
  return client.patch(PersistentVolumeClaim, nameOf(claim), { metadata }, options);
}
