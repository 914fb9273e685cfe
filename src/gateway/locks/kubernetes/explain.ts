/** From what the API server answers to what an administrator can do about it. */
import { StatusError, TransportError, toError } from '../../../kube/types/errors.ts';
import { CoordinationUnavailableError, type UnavailableReason } from '../store.ts';

const RIGHTS =
  'the gateway needs the rights on Leases in its own namespace that docs/permissions.md names: helm upgrade';

/** An error of the client as one of the store. */
export function explainKubernetes(error: unknown): CoordinationUnavailableError {
  if (error instanceof CoordinationUnavailableError) return error;
  const { reason, remedy } = verdict(error);
  return new CoordinationUnavailableError(reason, `${toError(error).message}; ${remedy}`, { cause: error });
}

function verdict(error: unknown): { readonly reason: UnavailableReason; readonly remedy: string } {
  if (error instanceof TransportError) {
    if (error.failure === 'aborted') return { reason: 'Closed', remedy: 'this process is stopping' };
    const reason = error.failure === 'deadline' ? 'TimedOut' : 'Unreachable';
    return { reason, remedy: 'the API server has to answer for sessions to be placed (--coordination=kubernetes)' };
  }
  if (!(error instanceof StatusError))
    return { reason: 'NotServing', remedy: 'this is none of the errors that are expected of the API server' };
  if (/exceeded quota/.test(error.message))
    return { reason: 'Full', remedy: "raise the ResourceQuota on Leases in the gateway's namespace" };
  if (/space exceeded/.test(error.message))
    return { reason: 'Full', remedy: 'etcd is full: compact it, or use --coordination=redis' };
  if (error.code === 401 || error.code === 403) return { reason: 'AccessDenied', remedy: RIGHTS };
  return {
    reason: 'NotServing',
    remedy: 'the API server or one of its webhooks refuses what the gateway writes to Leases',
  };
}

/** A Lease of ours that says something else than we wrote. */
export function spoilt(namespace: string, name: string): CoordinationUnavailableError {
  return new CoordinationUnavailableError(
    'Unreadable',
    `Lease ${namespace}/${name} does not say what a gateway wrote: find out who changes it, and delete it`,
  );
}
