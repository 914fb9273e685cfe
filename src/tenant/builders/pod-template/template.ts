/** The pod template of a server, in each of its revisions. */
import { Annotation } from '../../../api/names.ts';
import type { Deployment } from '../../../kube/types/builtins.ts';
import { childName, serverLabels } from '../../../resources/names.ts';
import { podMetadata, podSecurity, scheduling } from '../../../resources/pod.ts';
import type { CopilotTenant } from '../../../resources/tenant.ts';
import { TemplateAnnotation } from '../../deployments.ts';
import type { Restart, ServerImage } from '../../model.ts';
import { serverAffinity } from './affinity.ts';
import { serverContainer } from './container.ts';
import { guardContainer } from './guard.ts';
import type { IPFamily } from './listen-address.ts';
import { CURRENT_REVISION } from './revisions.ts';
import { volumes } from './volumes.ts';

export type PodTemplate = NonNullable<Deployment['spec']>['template'];

/** What the template contains besides the spec. */
export interface PodTemplateFacts {
  readonly image: ServerImage;
  /** Value of {@link TemplateAnnotation.credentials}. */
  readonly credentialsHash: string;
  /** Default: IPv4. */
  readonly ipFamily?: IPFamily | undefined;
  readonly restart?: Restart | undefined;
  /** Value of {@link TemplateAnnotation.replacedAt}. */
  readonly replacedAt?: string | undefined;
}

/** Renders the template at one revision. */
export type RenderPodTemplate = (
  tenant: CopilotTenant,
  index: number,
  facts: PodTemplateFacts,
  revision: number,
) => PodTemplate;

/** All revisions of the template. Injected, so that a roll-out can be tested without a change of the real template. */
export interface PodTemplates {
  readonly current: number;
  readonly render: RenderPodTemplate;
}

/**
 * The template at `revision`. A part that a revision changes takes it as a parameter, for example
 * `revision >= 2 ? '::' : '0.0.0.0'`. A new field of the spec applies to every revision, because whoever sets it wants it now; while it
 * is not set, the template of each revision is as before.
 */
export const podTemplate: RenderPodTemplate = (tenant, index, facts, revision) => {
  const { name, annotations } = tenant.metadata;
  const requestedRestart = annotations?.[Annotation.restart];
  return {
    metadata: podMetadata(tenant, {
      labels: serverLabels(name, index),
      annotations: {
        [TemplateAnnotation.credentials]: facts.credentialsHash,
        ...(facts.restart && {
          [TemplateAnnotation.restartedAt]: facts.restart.at,
          [TemplateAnnotation.restartAttempt]: String(facts.restart.attempt),
        }),
        ...(facts.replacedAt !== undefined && { [TemplateAnnotation.replacedAt]: facts.replacedAt }),
        ...(requestedRestart !== undefined && { [TemplateAnnotation.requestedRestart]: requestedRestart }),
      },
    }),
    spec: {
      serviceAccountName: childName(name, 'servers'),
      // Set here and on the ServiceAccount: the agent runs shell commands, and could use a token to access the API.
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      // SIGTERM ends the CLI in 2 s without a drain; a longer period would only delay the replacement of a hung server.
      terminationGracePeriodSeconds: 15,
      securityContext: podSecurity(tenant),
      // The pause container is PID 1 and reaps what the agent's commands leave; neither program does, and images need no init.
      ...(revision >= 2 && { shareProcessNamespace: true }),
      ...(facts.image.guard !== undefined && {
        initContainers: [guardContainer(tenant, index, facts.image.guard)],
      }),
      containers: [serverContainer(tenant, { image: facts.image.image, ipFamily: facts.ipFamily ?? 'IPv4' }, revision)],
      volumes: volumes(tenant, index, revision),
      ...scheduling(tenant),
      ...(revision >= 2 && { affinity: serverAffinity(tenant, index) }),
    },
  };
};

/** The templates of this version of the operator. */
export const POD_TEMPLATES: PodTemplates = { current: CURRENT_REVISION, render: podTemplate };
