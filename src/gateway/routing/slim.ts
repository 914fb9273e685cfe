/** What the gateway keeps in memory of tenants and pods: ten thousand tenants take less than 250 MB. */
import { durationMs } from '../../api/duration.ts';
import {
  Annotation,
  COPILOT_TENANT,
  Label,
  type Access,
  type Injection,
  type Isolation,
  type Placement,
  type Topology,
} from '../../api/names.ts';
import type { CopilotTenantSpec, HibernationStatus, SecretKeyRef, ServerDrain } from '../../api/tenant.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import { getControllerOf } from '../../kube/types/owner.ts';
import { defineResource } from '../../kube/types/resource.ts';
import { slimController, slimMetadata } from '../../kube/types/slim.ts';
import { keyOf, type KubeObject } from '../../kube/types/types.ts';
import type { GatewayTenant, TenantLimits, TenantRates, TenantSleep } from '../model.ts';

/** A tenant, as far as the gateway reads it. */
export type RoutedTenant = KubeObject & {
  readonly spec?: {
    readonly isolation?: Isolation;
    readonly model?: SpecifiedModel & Partial<RoutedModel>;
    readonly sessions?: Partial<RoutedSessions>;
    readonly placement?: Placement;
    readonly topology?: Topology;
    readonly rates?: TenantRates;
    readonly suspend?: boolean;
    readonly replicas?: number;
    readonly hibernation?: Pick<NonNullable<CopilotTenantSpec['hibernation']>, 'afterIdle' | 'wakeTimeout'>;
  };
  readonly status?: {
    readonly hibernation?: Omit<HibernationStatus, 'since'>;
    readonly access?: Access;
    readonly modelInjection?: Injection;
    readonly modelSecret?: SecretKeyRef;
    readonly servers?: readonly RoutedServer[];
    readonly binding?: { readonly credentials?: readonly { readonly sha256: string }[] };
  };
};
/** A server as the status of its tenant has it. */
export interface RoutedServer {
  readonly name: string;
  readonly volumeUID?: string;
  readonly drain?: Pick<ServerDrain, 'epoch' | 'reason' | 'podUID' | 'since' | 'deadline'>;
}
type SpecifiedModel = Pick<NonNullable<CopilotTenantSpec['model']>, 'github' | 'provider'>;
/** What the gateway enforces of `spec.sessions`. */
type RoutedSessions = Pick<
  CopilotTenantSpec['sessions'],
  'permissionTimeout' | 'maxConcurrent' | 'maxConcurrentTurns' | 'maxPerUser' | 'unavailable'
>;
/** The login that the gateway puts into the tenant's sessions. */
export type RoutedModel = SpecifiedModel & {
  /** Its Secret, while the operator lets the gateway read it. */
  readonly secret?: SecretKeyRef;
};
export const RoutedTenant = defineResource<RoutedTenant>(COPILOT_TENANT);

/** Selects the pods of all servers. The informer's label selector. */
export const SERVER_PODS = `${Label.tenant},${Label.component}=server`;

/** Name of the index that finds the pods of a tenant, by the tenant's key. */
export const TENANT_INDEX = 'tenant';

/** Name of the index that finds the tenants with servers that drain.
 */
export const DRAINING_INDEX = 'draining';

/** The indexer of {@link DRAINING_INDEX}: all have the same key. */
export function drainingKeys({ status }: RoutedTenant): string[] {
  return status?.servers?.some(({ drain }) => drain !== undefined) === true ? [DRAINING_INDEX] : [];
}

/** The key of the tenant whose server a pod claims to be. By its label, which proves nothing. */
export function tenantKeyOf({ metadata: { namespace = '', labels } }: Pod): string {
  return keyOf({ namespace, name: labels?.[Label.tenant] ?? '' });
}

/**
 * Keeps of a tenant its isolation, its placement, whether its servers share a volume, its limits and rates, whether it sleeps or is stopped, its access, what its annotations say to the gateway, the hashes of its credentials, its servers that have a volume or drain, and its model if
 * sessions get the login from the gateway.
 */
export function slimTenant({ apiVersion, kind, metadata, spec, status }: RoutedTenant): RoutedTenant {
  const { isolation, sessions, placement, topology, rates, hibernation, suspend, replicas } = spec ?? {};
  const { access, modelInjection, modelSecret, binding, servers = [], hibernation: sleep } = status ?? {};
  const model = modelInjection === 'Gateway' ? injectedModel(spec?.model, modelSecret) : undefined;
  const credentials = (binding?.credentials ?? []).map(({ sha256 }) => ({ sha256 }));
  const kept = servers.flatMap(slimServer);
  return {
    apiVersion,
    kind,
    metadata: { ...slimMetadata(metadata), ...slimAnnotations(metadata.annotations) },
    spec: {
      ...(isolation !== undefined && { isolation }),
      ...(model !== undefined && { model }),
      ...(sessions !== undefined && { sessions: slimSessions(sessions) }),
      ...(placement !== undefined && { placement }),
      // Nearly all are Sticky, which is the default.
      ...(topology === 'SharedStorage' && { topology }),
      ...(rates !== undefined && { rates }),
      ...(suspend === true && { suspend }),
      ...(replicas === 0 && { replicas }),
      ...(hibernation !== undefined && {
        hibernation: { afterIdle: hibernation.afterIdle, wakeTimeout: hibernation.wakeTimeout },
      }),
    },
    status: {
      ...(access !== undefined && { access }),
      ...(credentials.length > 0 && { binding: { credentials } }),
      ...(kept.length > 0 && { servers: kept }),
      ...(sleep !== undefined && { hibernation: slimSleep(sleep) }),
    },
  };
}

const ANNOTATIONS: readonly string[] = [Annotation.gatewayPaused, Annotation.gatewayKick];

/** Nothing where there is none of them, as with nearly all tenants. */
function slimAnnotations(annotations: Readonly<Record<string, string>> = {}): { annotations?: Record<string, string> } {
  const kept = Object.entries(annotations).filter(([name]) => ANNOTATIONS.includes(name));
  return kept.length === 0 ? {} : { annotations: Object.fromEntries(kept) };
}

/** What the annotations of a tenant say to the gateway. */
export function saidTo({ annotations = {} }: RoutedTenant['metadata']): Pick<GatewayTenant, 'isPaused' | 'kick'> {
  const { [Annotation.gatewayPaused]: paused, [Annotation.gatewayKick]: kick } = annotations;
  return { ...(paused === 'true' && { isPaused: true }), ...(kick !== undefined && { kick }) };
}

/** The field that has the servers of a tenant stopped. */
export function stoppedBy({ spec }: RoutedTenant): GatewayTenant['stoppedBy'] {
  if (spec?.suspend === true) return 'spec.suspend';
  return spec?.replicas === 0 ? 'spec.replicas' : undefined;
}

function slimSessions({
  permissionTimeout,
  maxConcurrent,
  maxConcurrentTurns,
  maxPerUser,
  unavailable,
}: Partial<RoutedSessions>): Partial<RoutedSessions> {
  return {
    ...(permissionTimeout !== undefined && { permissionTimeout }),
    ...(maxConcurrent !== undefined && { maxConcurrent }),
    ...(maxConcurrentTurns !== undefined && { maxConcurrentTurns }),
    ...(maxPerUser !== undefined && { maxPerUser }),
    ...(unavailable !== undefined && { unavailable }),
  };
}

/** The limits in the form that the relay uses. */
export function limitsOf({ permissionTimeout, ...limits }: Partial<RoutedSessions> = {}): TenantLimits {
  return {
    ...limits,
    ...(permissionTimeout !== undefined && { permissionTimeoutMs: durationMs(permissionTimeout) }),
  };
}

function slimSleep({ phase, epoch, failure }: Omit<HibernationStatus, 'since'>): Omit<HibernationStatus, 'since'> {
  return { phase, epoch, ...(failure && { failure }) };
}

/** The sleep of a tenant; undefined: it never sleeps. Without the gateway nobody would wake it. */
export function sleepOf({ spec, status }: RoutedTenant): TenantSleep | undefined {
  if (spec?.hibernation === undefined || status?.access !== 'Gateway') return undefined;
  const { afterIdle, wakeTimeout } = spec.hibernation;
  const { phase = 'Running', epoch = 0, failure } = status.hibernation ?? {};
  return {
    afterIdleMs: durationMs(afterIdle),
    wakeTimeoutMs: durationMs(wakeTimeout),
    phase,
    epoch,
    ...(failure && { failure }),
  };
}

/** Of a drain without the number of turns, which changes while nothing changes for the gateway. */
function slimServer({ name, volumeUID, drain }: RoutedServer): RoutedServer[] {
  if (volumeUID === undefined && drain === undefined) return [];
  return [
    {
      name,
      ...(volumeUID !== undefined && { volumeUID }),
      ...(drain && {
        drain: {
          epoch: drain.epoch,
          reason: drain.reason,
          podUID: drain.podUID,
          since: drain.since,
          deadline: drain.deadline,
        },
      }),
    },
  ];
}

function injectedModel(
  { github, provider }: SpecifiedModel = {},
  secret: SecretKeyRef | undefined,
): RoutedModel | undefined {
  const readable = secret && { secret: { name: secret.name, key: secret.key } };
  if (github !== undefined) return { github, ...readable };
  return provider && { provider, ...readable };
}

/** Keeps of a pod whose it is, where it is and whether it serves. */
export function slimPod(pod: Pod): Pod {
  const { apiVersion, kind, metadata, status } = pod;
  const controller = getControllerOf(pod);
  const { [Label.tenant]: tenant = '', [Label.server]: server = '' } = metadata.labels ?? {};
  return {
    apiVersion,
    kind,
    metadata: {
      ...slimMetadata(metadata),
      labels: { [Label.tenant]: tenant, [Label.server]: server },
      ...(controller && { ownerReferences: [slimController(controller)] }),
    },
    status: {
      ...(status?.phase !== undefined && { phase: status.phase }),
      ...(status?.podIP !== undefined && { podIP: status.podIP }),
      conditions: (status?.conditions ?? [])
        .filter(({ type }) => type === 'Ready')
        .map((condition) => ({ type: condition.type, status: condition.status })),
    },
  };
}
