/**
 * Decides which objects without a controller are children that lost theirs: the tenant was deleted with --cascade=orphan, or a backup was
 * restored, which removes owner references. They are taken over; an object that has a controller never is.
 */
import { GROUP } from '../../api/names.ts';
import type { Deployment, Secret } from '../../kube/types/builtins.ts';
import { getControllerOf, isControlledBy } from '../../kube/types/owner.ts';
import type { KubeObject } from '../../kube/types/types.ts';
import { tenantLabels } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';

/**
 * Annotation of children with the hash of what was applied last. It is also the mark of an object that the operator has written: unlike
 * the managed fields, it is there as soon as a restored object is.
 */
export const HASH_ANNOTATION = `${GROUP}/applied-hash`;

/**
 * Whether `live` is a child of the tenant that has lost its controller: it has the operator's mark and the labels of the tenant's children.
 * Its name is up to the caller. Not for volume claims: a retained one has no owner by design (`isClaimOf`).
 */
export function isOrphanOf(live: KubeObject, tenant: CopilotTenant): boolean {
  return getControllerOf(live) === undefined && isMarked(live) && hasLabels(live, tenantLabels(tenant.metadata.name));
}

/** Whether the tenant controls `live`, or may take it over. */
export function isOwnOrOrphan(live: KubeObject, tenant: CopilotTenant): boolean {
  return isControlledBy(live, tenant) || isOrphanOf(live, tenant);
}

/** Whether `live` may be taken over as `desired`: an orphan that the API server lets become it. */
export function mayAdopt(live: KubeObject, desired: KubeObject, tenant: CopilotTenant): boolean {
  return isOrphanOf(live, tenant) && hasLabels(live, desired.metadata.labels ?? {}) && hasSameIdentity(live, desired);
}

/** Whether an operator has written `live`. */
export function isMarked({ metadata }: KubeObject): boolean {
  return metadata.annotations?.[HASH_ANNOTATION] !== undefined;
}

function hasLabels({ metadata }: KubeObject, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value);
}

/** Whether the fields that can never change are as desired. */
function hasSameIdentity(live: KubeObject, desired: KubeObject): boolean {
  const identity = (object: KubeObject): unknown[] => {
    const { type } = object as Secret;
    const selector = (object as Deployment).spec?.selector;
    const labels = Object.entries(selector?.matchLabels ?? {}).toSorted(([a], [b]) => a.localeCompare(b));
    return object.kind === 'Secret' ? [type] : object.kind === 'Deployment' ? [labels, selector?.matchExpressions] : [];
  };
  return JSON.stringify(identity(live)) === JSON.stringify(identity(desired));
}

/** What a connection token is verified with. */
export interface TokenEvidence {
  /** Hash of the credentials that servers would get with this token; undefined if the model's credential cannot be used. */
  readonly hash: string | undefined;
  /** Hashes of the credentials that the tenant's servers were started with. */
  readonly started: readonly (string | undefined)[];
}

/** Whether the token of an orphaned Secret may be used, or that is not known yet. */
export type TokenAdoption = {
  readonly action: 'adopt' | 'wait' | 'refuse';
  readonly reason: 'Verified' | 'ModelUnknown' | 'Unverified';
  readonly message: string;
};

/**
 * Whether the token in an orphaned Secret is the one that the tenant's servers run with. Labels and mark are no proof: a Secret that was
 * copied from another namespace has them too, and with its token both tenants would be one trust domain. Only who may read the token can
 * make a server's Deployment with its keyed hash.
 */
export function tokenAdoption(secret: string, { hash, started }: TokenEvidence): TokenAdoption {
  if (hash === undefined) {
    const message = `The token in Secret ${secret} is verified once the model's credential can be used.`;
    return { action: 'wait', reason: 'ModelUnknown', message };
  }
  if (started.includes(hash)) {
    return { action: 'adopt', reason: 'Verified', message: `The token in Secret ${secret} is that of the servers.` };
  }
  return {
    action: 'refuse',
    reason: 'Unverified',
    message:
      `Secret ${secret} has no owner, and no server of this tenant is known to run with its token, so it may be a copy from elsewhere. ` +
      `It was not changed: restore the Deployments of the servers too, or delete the Secret; then a new token is generated.`,
  };
}
