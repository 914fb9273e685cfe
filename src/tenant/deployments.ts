/** What the live Deployment of a server says: whether its rollout is complete, and what was recorded on it. */
import { GROUP } from '../api/names.ts';
import type { Deployment } from '../kube/types/builtins.ts';
import type { Restart } from './model.ts';

/** Annotations of the pod template. A change of any of them replaces the server. */
export const TemplateAnnotation = {
  /** Keyed hash of everything secret that the pod takes from Secrets: a pod reads its environment only once. */
  credentials: `${GROUP}/credentials-hash`,
  /** When the operator last restarted the server because it did not answer; RFC 3339. */
  restartedAt: `${GROUP}/restarted-at`,
  /** How many restarts of that kind followed each other without a long healthy time between them. */
  restartAttempt: `${GROUP}/restart-attempt`,
} as const;

/**
 * On the Deployment of a server whose tenant names no image: the operator's default that it was given, which it keeps. It
 * is not read from the container, where a change by hand is to be undone, and it is absent while `spec.server.image`
 * counts: an image that the spec stops naming is not kept, it may be the fault that is being taken back.
 */
export const DEFAULT_IMAGE_ANNOTATION = `${GROUP}/server-image`;

/** Whether the Deployment controller has seen the latest template and its pod, and no other, runs. */
export function isCurrent(deployment: Deployment | undefined): boolean {
  const { status } = deployment ?? {};
  return (
    status !== undefined &&
    isObserved(deployment) &&
    (status.updatedReplicas ?? 0) === (deployment?.spec?.replicas ?? 0) &&
    (status.replicas ?? 0) === (status.updatedReplicas ?? 0)
  );
}

/** Whether the Deployment controller has seen the latest spec: until then its status tells of the one before. */
export function isObserved(deployment: Deployment | undefined): boolean {
  return (deployment?.status?.observedGeneration ?? 0) >= (deployment?.metadata.generation ?? 0);
}

/** The restart that a live Deployment records, if any. */
export function restartOf(live: Deployment | undefined): Restart | undefined {
  const annotations = live?.spec?.template.metadata?.annotations;
  const at = annotations?.[TemplateAnnotation.restartedAt];
  if (at === undefined || Number.isNaN(Date.parse(at))) return undefined;
  const attempt = Number(annotations?.[TemplateAnnotation.restartAttempt]);
  return { at, attempt: Number.isSafeInteger(attempt) && attempt > 0 ? attempt : 1 };
}

/** The default image that a live Deployment was given; undefined where the spec named one. */
export function defaultImageOf(live: Deployment | undefined): string | undefined {
  return live?.metadata.annotations?.[DEFAULT_IMAGE_ANNOTATION];
}
