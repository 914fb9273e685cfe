/**
 * A sweep of a server's volume, asked for on its claim (docs/adr/0015-sweep-asked-for-on-the-claim.md). Who deletes sessions through a
 * running server asks for it, the tenant controller has a Job do it; the request outlives both, and the tenant if its volume does.
 */
import { Annotation } from '../api/names.ts';
import { PersistentVolumeClaim } from '../kube/types/builtins.ts';
import type { KubeClient } from '../kube/client/client.ts';
import { timestamp } from '../kube/types/time.ts';
import { nameOf, type KubeObject } from '../kube/types/types.ts';

/** Not that of the claim's manifest: what stands there under its name and not in it, the next apply would take away. */
const FIELD_MANAGER = 'copilot-operator-sweep';

/** What a claim asks for, or what a Job was made for; undefined: no sweep. */
export function sweepAt({ metadata }: KubeObject): string | undefined {
  return metadata.annotations?.[Annotation.sweepAt];
}

/** Asks for a sweep at wall-clock `at`, in ms. The last one who asks is heard. */
export function requestSweep(
  client: KubeClient,
  claim: PersistentVolumeClaim,
  at: number,
  signal: AbortSignal,
): Promise<unknown> {
  return annotate(client, claim, { uid: claim.metadata.uid }, at, signal);
}

/** Puts the request off that `claim` shows until `at`, in ms. A Conflict when the claim has changed: there may be a newer one. */
export function postponeSweep(
  client: KubeClient,
  claim: PersistentVolumeClaim,
  at: number,
  signal: AbortSignal,
): Promise<unknown> {
  return annotate(client, claim, asRead(claim), at, signal);
}

/** Takes the request off that `claim` shows. A Conflict likewise. */
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
