/** What the gateway keeps in memory of tenants and pods: ten thousand tenants take less than 250 MB. */
import { COPILOT_TENANT, Label, type Access, type Injection, type Isolation } from '../../api/names.ts';
import type { CopilotTenantSpec, SecretKeyRef } from '../../api/tenant.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import { getControllerOf } from '../../kube/types/owner.ts';
import { defineResource } from '../../kube/types/resource.ts';
import { slimController, slimMetadata } from '../../kube/types/slim.ts';
import { keyOf, type KubeObject } from '../../kube/types/types.ts';

/** A tenant, as far as the gateway reads it. */
export type RoutedTenant = KubeObject & {
  readonly spec?: { readonly isolation?: Isolation; readonly model?: SpecifiedModel & Partial<RoutedModel> };
  readonly status?: {
    readonly access?: Access;
    readonly modelInjection?: Injection;
    readonly modelSecret?: SecretKeyRef;
    readonly binding?: { readonly credentials?: readonly { readonly sha256: string }[] };
  };
};
type SpecifiedModel = Pick<NonNullable<CopilotTenantSpec['model']>, 'github' | 'provider'>;
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

/** The key of the tenant whose server a pod claims to be. By its label, which proves nothing. */
export function tenantKeyOf({ metadata: { namespace = '', labels } }: Pod): string {
  return keyOf({ namespace, name: labels?.[Label.tenant] ?? '' });
}

/** Keeps of a tenant its isolation, its access, the hashes of its credentials, and its model if sessions get the login from the gateway. */
export function slimTenant({ apiVersion, kind, metadata, spec, status }: RoutedTenant): RoutedTenant {
  const { isolation } = spec ?? {};
  const { access, modelInjection, modelSecret, binding } = status ?? {};
  const model = modelInjection === 'Gateway' ? injectedModel(spec?.model, modelSecret) : undefined;
  const credentials = (binding?.credentials ?? []).map(({ sha256 }) => ({ sha256 }));
  return {
    apiVersion,
    kind,
    metadata: slimMetadata(metadata),
    ...((isolation !== undefined || model !== undefined) && {
      spec: { ...(isolation !== undefined && { isolation }), ...(model !== undefined && { model }) },
    }),
    status: { ...(access !== undefined && { access }), ...(credentials.length > 0 && { binding: { credentials } }) },
  };
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
