/**
 * Names and labels of a tenant's children. Every child is called `<tenant>-<suffix>`, and no suffix has a dash: up to its last dash a
 * name is the tenant's, so the children of two tenants never have the same name, not even those of `a` and `a-0`
 * (test/unit/resources/names.test.ts).
 */
import { FIELD_MANAGER, Label, SERVER_APP_NAME } from '../api/names.ts';
import { getControllerOf, isControlledBy, refersTo } from '../kube/types/owner.ts';
import type { KubeObject } from '../kube/types/types.ts';
import { CopilotTenant, isSharedStorage } from './tenant.ts';

/** Suffixes of the objects that a tenant's servers share. Those of one server end in its index instead. */
export const ChildName = {
  /** The connection token's Secret. */
  token: 'token',
  /** The Secret that client applications bind to. */
  binding: 'binding',
  /** ServiceAccount, NetworkPolicy and PodDisruptionBudget of the servers. */
  servers: 'servers',
  /** The CronJob that cleans up sessions. */
  cleanup: 'cleanup',
  /** The ConfigMap of the sessions that CopilotSessions keep from the cleanup. */
  sessions: 'sessions',
  /** Role and RoleBinding of the gateway. */
  gateway: 'gateway',
  /** The PersistentVolumeClaim of all servers, with topology SharedStorage. */
  shared: 'shared',
  /** The ConfigMap with the public keys by which the guards of its servers verify grants, with topology SharedStorage. */
  guard: 'guard',
} as const;

/** Key of the connection token in the token's Secret. */
export const TOKEN_KEY = 'token';

/** Name of an object that the servers of `tenant` share. */
export function childName(tenant: string, child: keyof typeof ChildName): string {
  return `${tenant}-${ChildName[child]}`;
}

/** Name of server `index` of `tenant`, and so of its Deployment and Service. */
export function serverName(tenant: string, index: number): string {
  return `${tenant}-${index}`;
}

/** Name of the PersistentVolumeClaim that server `index` of `tenant` mounts, and of that volume in cleanups and their results. */
export function claimName(tenant: Pick<CopilotTenant, 'metadata' | 'spec'>, index: number): string {
  const { name } = tenant.metadata;
  return isSharedStorage(tenant) ? childName(name, 'shared') : serverName(name, index);
}

/** Name of the Job that sweeps the volume of server `index` of `tenant`. */
export function sweepName(tenant: string, index: number): string {
  return `${tenant}-sweep${index}`;
}

/** Name of the Job that removes deleted sessions from the volume of server `index` of `tenant`, while that does not run. */
export function removalName(tenant: string, index: number): string {
  return `${tenant}-remove${index}`;
}

/** The index of the server called `name` when it is one of `tenant`'s. */
export function serverIndex(tenant: string, name: string): number | undefined {
  const suffix = name.startsWith(`${tenant}-`) ? name.slice(tenant.length + 1) : '';
  return /^(0|[1-9]\d*)$/.test(suffix) ? Number(suffix) : undefined;
}

/** The tenant that the server called `name` belongs to. */
export function tenantOfServer(name: string): string {
  return name.slice(0, name.lastIndexOf('-'));
}

/** Selects every object that the operator created for tenants. The informers' label selector. */
export const MANAGED_SELECTOR = `${Label.managedBy}=${FIELD_MANAGER},${Label.name}=${SERVER_APP_NAME}`;

/**
 * Selects the pods of all tenants, and every other pod that a server's Service selects: that one has fewer labels than
 * {@link MANAGED_SELECTOR} requires. The informer's label selector.
 */
export const POD_SELECTOR = Label.tenant;

/** Labels of every child of `tenant`. */
export function tenantLabels(tenant: string): Record<string, string> {
  return {
    [Label.name]: SERVER_APP_NAME,
    [Label.instance]: tenant,
    [Label.managedBy]: FIELD_MANAGER,
    [Label.partOf]: FIELD_MANAGER,
    [Label.tenant]: tenant,
  };
}

/** Labels of the children of one server. */
export function serverLabels(tenant: string, index: number): Record<string, string> {
  return { ...tenantLabels(tenant), [Label.component]: 'server', [Label.server]: serverName(tenant, index) };
}

/** Selects the pods of all servers of `tenant`. */
export function tenantPods(tenant: string): Record<string, string> {
  return { [Label.tenant]: tenant, [Label.component]: 'server' };
}

/** Selects the pod of one server. A Deployment's selector is immutable: changing this would orphan every pod. */
export function serverPods(tenant: string, index: number): Record<string, string> {
  return { ...tenantPods(tenant), [Label.server]: serverName(tenant, index) };
}

/**
 * Whether `object` has the labels of a child of `tenant`. This is no proof of ownership: only a retained volume claim, which has no
 * owner reference by design, is recognised by them.
 */
function isLabelledFor(object: KubeObject, tenant: string): boolean {
  const labels = object.metadata.labels ?? {};
  return labels[Label.managedBy] === FIELD_MANAGER && labels[Label.tenant] === tenant;
}

/**
 * Whether a volume claim is the tenant's: controlled by it, or retained, and then without a controller and recognised by its labels, or
 * by its UID if a user has removed them.
 */
export function isClaimOf(claim: KubeObject, tenant: CopilotTenant): boolean {
  if (isControlledBy(claim, tenant)) return true;
  if (getControllerOf(claim) !== undefined) return false;
  const recorded = tenant.status?.servers?.some(({ volumeUID }) => volumeUID === claim.metadata.uid) ?? false;
  return recorded || isLabelledFor(claim, tenant.metadata.name);
}

/** Whether a previous tenant of this name controls `object`: it will be garbage-collected, so waiting helps. */
export function isOfPreviousTenant(object: KubeObject, tenant: KubeObject): boolean {
  const owner = getControllerOf(object);
  return (
    owner !== undefined &&
    refersTo(owner, CopilotTenant) &&
    owner.name === tenant.metadata.name &&
    owner.uid !== tenant.metadata.uid
  );
}
