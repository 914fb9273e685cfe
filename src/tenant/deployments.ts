/** Reads the live Deployment of a server: whether its rollout is complete, and what the operator recorded in its annotations. */
import { GROUP } from '../api/names.ts';
import type { Deployment } from '../kube/types/builtins.ts';
import type { Restart } from './model.ts';

/** Annotations of the pod template. Changing any of them replaces the pod. */
export const TemplateAnnotation = {
  /** Keyed hash of the values that the pod reads from Secrets: a pod reads its environment only once. */
  credentials: `${GROUP}/credentials-hash`,
  /** When the operator last restarted the unresponsive server; RFC 3339. */
  restartedAt: `${GROUP}/restarted-at`,
  /** How many such restarts followed each other without a long healthy time in between. */
  restartAttempt: `${GROUP}/restart-attempt`,
  /** When the operator last replaced a pod that could have stayed, such as one on a cordoned node; RFC 3339. */
  replacedAt: `${GROUP}/replaced-at`,
  /** The value of the tenant's own annotation that asks for a restart. */
  requestedRestart: `${GROUP}/requested-restart`,
} as const;

/**
 * On the Deployment of a server whose tenant specifies no image: the operator's default image that it started with, which
 * it keeps. The container's image would not do, because drift there is reverted. The annotation is absent while
 * `spec.server.image` is set: removing a broken image from the spec must not keep it.
 */
export const DEFAULT_IMAGE_ANNOTATION = `${GROUP}/server-image`;

/**
 * On the Deployment of a server with a guard: the image of that, which is the operator's own. The server keeps it until it is replaced:
 * an upgrade of the operator restarts no tenant.
 */
export const GUARD_IMAGE_ANNOTATION = `${GROUP}/guard-image`;

/** The revision of a pod template whose Deployment records none: those that operators without revisions wrote. */
export const FIRST_REVISION = 1;

/** On the Deployment of a server whose pod template is not of the first revision. */
export const RevisionAnnotation = {
  /** The revision of the pod template. */
  revision: `${GROUP}/template-revision`,
  /** Hash of what the template is made of (the spec, the image, the credentials), whatever its revision. */
  inputs: `${GROUP}/template-inputs`,
} as const;

/**
 * On the Deployment of a server that the roll-out of a new operator version has replaced, until it responds: when that was; RFC 3339. So
 * the budget is known to every operator process (decisions/rollout-budget.ts).
 */
export const ROLLOUT_ANNOTATION = `${GROUP}/rollout-started-at`;

/** Whether the rollout is complete: the latest template was observed, and only its pods exist. */
export function isRolloutComplete(deployment: Deployment | undefined): boolean {
  const { status } = deployment ?? {};
  return (
    status !== undefined &&
    isObserved(deployment) &&
    (status.updatedReplicas ?? 0) === (deployment?.spec?.replicas ?? 0) &&
    (status.replicas ?? 0) === (status.updatedReplicas ?? 0)
  );
}

/** Whether the Deployment controller has observed the latest spec: until then the status is that of the previous one. */
export function isObserved(deployment: Deployment | undefined): boolean {
  return (deployment?.status?.observedGeneration ?? 0) >= (deployment?.metadata.generation ?? 0);
}

/** The restart that is recorded on a live Deployment. */
export function restartOf(live: Deployment | undefined): Restart | undefined {
  const annotations = live?.spec?.template.metadata?.annotations;
  const at = annotations?.[TemplateAnnotation.restartedAt];
  if (at === undefined || Number.isNaN(Date.parse(at))) return undefined;
  const attempt = Number(annotations?.[TemplateAnnotation.restartAttempt]);
  return { at, attempt: Number.isSafeInteger(attempt) && attempt > 0 ? attempt : 1 };
}

/** When the operator last replaced a pod that could have stayed, as recorded on a live Deployment. */
export function replacedAtOf(live: Deployment | undefined): string | undefined {
  return live?.spec?.template.metadata?.annotations?.[TemplateAnnotation.replacedAt];
}

/** What a live Deployment records of how its pods were replaced: it stays in the template, because a change of it replaces the pod. */
export function replacementsOf(live: Deployment | undefined): {
  readonly restart: Restart | undefined;
  readonly replacedAt: string | undefined;
} {
  return { restart: restartOf(live), replacedAt: replacedAtOf(live) };
}

/** The hash of the credentials that the pods of a live Deployment have. */
export function credentialsOf(live: Deployment | undefined): string | undefined {
  return live?.spec?.template.metadata?.annotations?.[TemplateAnnotation.credentials];
}

/** The default image that a live Deployment started with; undefined if its spec specified one. */
export function defaultImageOf(live: Deployment | undefined): string | undefined {
  return live?.metadata.annotations?.[DEFAULT_IMAGE_ANNOTATION];
}

/** The image of the guard that a live Deployment started with; undefined: it has none. */
export function guardImageOf(live: Deployment | undefined): string | undefined {
  return live?.metadata.annotations?.[GUARD_IMAGE_ANNOTATION];
}

/** What a live Deployment records of its pod template. */
export interface RecordedTemplate {
  readonly revision: number;
  /** Absent: the Deployment was written by an operator without revisions, or somebody removed the annotation. */
  readonly inputs?: string | undefined;
}

/** What a live Deployment records of its pod template; without a valid record, the first revision. */
export function recordedTemplateOf(live: Deployment): RecordedTemplate {
  const annotations = live.metadata.annotations ?? {};
  const revision = Number(annotations[RevisionAnnotation.revision]);
  if (!Number.isSafeInteger(revision) || revision <= FIRST_REVISION) return { revision: FIRST_REVISION };
  return { revision, inputs: annotations[RevisionAnnotation.inputs] };
}

/** When the roll-out of a new operator version replaced the server; undefined: it did not, or the server has responded since. */
export function rolloutStartOf(live: Deployment | undefined): string | undefined {
  return live?.metadata.annotations?.[ROLLOUT_ANNOTATION];
}

/** How many pods the Deployment should have. */
export function replicasOf(live: Deployment | undefined): number {
  return live?.spec?.replicas ?? 0;
}
