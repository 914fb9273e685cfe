/** How a replica is written to its Lease, and read from it. */
import { Annotation, FIELD_MANAGER, GATEWAY_APP_NAME, Label } from '../../api/names.ts';
import { newLeaseSpec, renewedLeaseSpec } from '../../kube/runtime/lease-spec.ts';
import type { Lease } from '../../kube/types/builtins.ts';
import type { OwnerReference } from '../../kube/types/types.ts';
import type { MemberInfo } from './messages.ts';
import { TIMES, type SeenLease } from './state.ts';

const COMPONENT = 'peer';
/** The Leases of all replicas of the gateway in its namespace. */
export const PEER_LEASES = `${Label.name}=${GATEWAY_APP_NAME},${Label.component}=${COMPONENT}`;

/** What a Lease says beside who holds it. */
export interface LeaseContent {
  readonly self: MemberInfo;
  readonly isDraining: boolean;
  /** The pod: with it the Lease is deleted. Undefined outside of a pod. */
  readonly pod: { readonly name: string; readonly uid: string } | undefined;
}

/** Name of the Lease of a pod. */
export function leaseNameOf(pod: string): string {
  return `copilot-gateway-peer-${pod}`;
}

/** The Lease as it is created. `now` is the wall clock's, ms. */
export function newLease(namespace: string, content: LeaseContent, now: number): Lease {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: content.self.lease,
      namespace,
      labels: {
        [Label.name]: GATEWAY_APP_NAME,
        [Label.component]: COMPONENT,
        [Label.partOf]: FIELD_MANAGER,
      },
      annotations: annotationsOf(content),
      ownerReferences: ownersOf(content),
    },
    spec: newLeaseSpec(holderOf(content), now),
  };
}

/** The Lease renewed, or taken over from the process before. */
export function renewedLease(lease: Lease, content: LeaseContent, now: number): Lease {
  const { annotations, labels } = lease.metadata;
  const metadata = {
    ...lease.metadata,
    labels: { ...labels, ...newLease('', content, now).metadata.labels },
    annotations: { ...annotations, ...annotationsOf(content) },
    ownerReferences: ownersOf(content),
  };
  return { ...lease, metadata, spec: renewedLeaseSpec(lease.spec, holderOf(content), now) };
}

/** What the Lease says; undefined if it is none of a replica. */
export function seenLeaseOf({ metadata, spec }: Lease): SeenLease | undefined {
  const { name, uid, resourceVersion, annotations = {} } = metadata;
  const address = annotations[Annotation.peerAddress];
  if (address === undefined || uid === undefined || resourceVersion === undefined) return undefined;
  return {
    id: spec?.holderIdentity ?? '',
    lease: name,
    address,
    isDraining: annotations[Annotation.draining] === 'true',
    sign: JSON.stringify([spec?.holderIdentity, spec?.renewTime]),
    uid,
    resourceVersion,
  };
}

function holderOf({ self }: LeaseContent): { identity: string; durationMs: number } {
  return { identity: self.id, durationMs: TIMES.lease };
}

function annotationsOf({ self, isDraining }: LeaseContent): Record<string, string> {
  return { [Annotation.peerAddress]: self.address, [Annotation.draining]: String(isDraining) };
}

function ownersOf({ pod }: LeaseContent): OwnerReference[] {
  return pod === undefined ? [] : [{ apiVersion: 'v1', kind: 'Pod', ...pod }];
}
