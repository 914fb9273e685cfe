/** The Deployment of a server. */
import { Deployment } from '../../kube/types/builtins.ts';
import { apiVersionOf } from '../../kube/types/resource.ts';
import { digest } from '../../kube/write/hash.ts';
import { serverName, serverPods } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import {
  DEFAULT_IMAGE_ANNOTATION,
  FIRST_REVISION,
  GUARD_IMAGE_ANNOTATION,
  RevisionAnnotation,
  ROLLOUT_ANNOTATION,
} from '../deployments.ts';
import { serverMetadata } from './metadata.ts';
import { POD_TEMPLATES, type PodTemplateFacts, type PodTemplates } from './pod-template/template.ts';

/** What the Deployment contains besides the spec. */
export interface DeploymentFacts extends PodTemplateFacts {
  /** False: the Deployment has zero replicas. */
  readonly running: boolean;
  /** Revision of the pod template; default: the current one. */
  readonly revision?: number | undefined;
  /** Value of {@link ROLLOUT_ANNOTATION}. */
  readonly rolloutAt?: string | undefined;
}

/** At most one pod, and never two at once on the volume. */
export function deployment(
  tenant: CopilotTenant,
  index: number,
  facts: DeploymentFacts,
  templates: PodTemplates = POD_TEMPLATES,
): Deployment {
  const name = serverName(tenant.metadata.name, index);
  const { revision = templates.current } = facts;
  const annotations = {
    ...(facts.image.isDefault && { [DEFAULT_IMAGE_ANNOTATION]: facts.image.image }),
    ...(facts.image.guard !== undefined && { [GUARD_IMAGE_ANNOTATION]: facts.image.guard }),
    ...(facts.rolloutAt !== undefined && { [ROLLOUT_ANNOTATION]: facts.rolloutAt }),
    // What operators without revisions wrote stays as it is: an upgrade to this one writes nothing.
    ...(revision !== FIRST_REVISION && {
      [RevisionAnnotation.revision]: String(revision),
      [RevisionAnnotation.inputs]: templateInputs(tenant, index, facts, templates),
    }),
  };
  return {
    apiVersion: apiVersionOf(Deployment),
    kind: Deployment.kind,
    metadata: { ...serverMetadata(tenant, index, name), ...(Object.keys(annotations).length > 0 && { annotations }) },
    spec: {
      replicas: facts.running ? 1 : 0,
      // RollingUpdate would start a second writer before the first has stopped, or wait for the volume forever.
      strategy: { type: 'Recreate' },
      // The operator never rolls back to an old ReplicaSet; one is kept for inspection.
      revisionHistoryLimit: 1,
      selector: { matchLabels: serverPods(tenant.metadata.name, index) },
      template: templates.render(tenant, index, facts, revision),
    },
  };
}

/**
 * Value of {@link RevisionAnnotation.inputs}: what the template is made of, whatever its revision. It is the hash of the first revision,
 * which every operator version can render, also one before the recorded revision. Without the restart, which is read from the live
 * Deployment.
 */
export function templateInputs(
  tenant: CopilotTenant,
  index: number,
  { image, credentialsHash }: PodTemplateFacts,
  templates: PodTemplates,
): string {
  return digest(templates.render(tenant, index, { image, credentialsHash }, FIRST_REVISION));
}
