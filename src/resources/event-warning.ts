/** Reads why an object is not ready from its events, where its status does not say so. */
import type { KubeClient } from '../kube/client/client.ts';
import { CoreEvent } from '../kube/types/builtins.ts';
import { isForbidden } from '../kube/types/errors.ts';
import type { KubeObject } from '../kube/types/types.ts';

/** The event that says why an object is not ready. */
export interface EventWarning {
  readonly reason: string;
  readonly message: string;
}

// Their type is Normal, although a claim may wait forever: nothing provisions it, or it has no StorageClass.
const informativeReasons = new Set(['ExternalProvisioning', 'FailedBinding']);

/** The latest Warning of the object that `isCause` accepts. Undefined without one, and without the right to list events. */
export async function latestWarning(
  subject: KubeObject,
  client: Pick<KubeClient, 'list'>,
  signal: AbortSignal,
  isCause: (event: CoreEvent) => boolean = () => true,
): Promise<EventWarning | undefined> {
  try {
    const events = await client.list(CoreEvent, {
      namespace: subject.metadata.namespace,
      fieldSelector: `involvedObject.uid=${subject.metadata.uid}`,
      signal,
    });
    const sorted = events.items.toSorted((a, b) => eventTime(a).localeCompare(eventTime(b)));
    const latest =
      sorted.findLast((event) => event.type === 'Warning' && isCause(event)) ??
      sorted.findLast(({ reason }) => informativeReasons.has(reason ?? ''));
    return latest && { reason: latest.reason ?? '', message: latest.message ?? '' };
  } catch (error) {
    // Events only add details to a cause, so it is reported without them.
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

/** Whether an event of a Job says why it has no pod: it also has a Warning for its own deadline. */
export const saysWhyNoPod = ({ reason }: CoreEvent): boolean => reason === 'FailedCreate';

const eventTime = (event: CoreEvent): string => event.lastTimestamp ?? event.eventTime ?? '';
