/**
 * The request for a sweep of a server's volume: an annotation on its claim (docs/adr/0015-sweep-asked-for-on-the-claim.md). It is set
 * after a deletion through a running server, and the tenant controller runs a Job for it. It lasts as long as the claim.
 */
import { Annotation } from '../api/names.ts';
import { PersistentVolumeClaim } from '../kube/types/builtins.ts';
import type { KubeClient } from '../kube/client/client.ts';
import { timestamp } from '../kube/types/time.ts';
import { nameOf, type KubeObject } from '../kube/types/types.ts';

/** Not the field manager of the claim's manifest: the next apply would remove a field that is not in the manifest. */
const FIELD_MANAGER = 'copilot-operator-sweep';

/** The requested time of a claim, or the request that a Job was created for; undefined: no sweep. */
export function sweepAt({ metadata }: KubeObject): string | undefined {
  return metadata.annotations?.[Annotation.sweepAt];
}

/** Requests a sweep at wall-clock `at`, in ms. It replaces an earlier request. */
export function requestSweep(
  client: KubeClient,
  claim: PersistentVolumeClaim,
  at: number,
  signal: AbortSignal,
): Promise<unknown> {
  return annotate(client, claim, { uid: claim.metadata.uid }, at, signal);
}

/** Postpones the request on `claim` until `at`, in ms. Conflict when the claim has changed: there may be a newer request. */
export function postponeSweep(
  client: KubeClient,
  claim: PersistentVolumeClaim,
  at: number,
  signal: AbortSignal,
): Promise<unknown> {
  return annotate(client, claim, asRead(claim), at, signal);
}

/** Removes the request from `claim`. Conflict likewise. */
export function clearSweepRequest(
  client: KubeClient,
  claim: PersistentVolumeClaim,
  signal: AbortSignal,
): Promise<unknown> {
  return annotate(client, claim, asRead(claim), undefined, signal);
}

const asRead = ({ metadata: { uid, resourceVersion } }: PersistentVolumeClaim) => ({ uid, resourceVersion });

function annotate(
  client: KubeClient,
  claim: PersistentVolumeClaim,
  preconditions: object,
  at: number | undefined,
  signal: AbortSignal,
): Promise<unknown> {
  const annotations = { [Annotation.sweepAt]: at === undefined ? null : timestamp(at) };
  const options = { contentType: 'application/merge-patch+json', fieldManager: FIELD_MANAGER, signal } as const;
  return client.patch(PersistentVolumeClaim, nameOf(claim), { metadata: { ...preconditions, annotations } }, options);
}
