/** What the operator's requests to the API server do. */
import type { ProxiedRequest } from '../support/fault-proxy.ts';

/** Whether a request changes the cluster. Events don't count: they are recorded by best effort. */
export const isWrite = ({ verb, resource }: Pick<ProxiedRequest, 'verb' | 'resource'>): boolean =>
  verb !== 'get' && verb !== 'list' && verb !== 'watch' && resource !== 'events';

/** The rest of the cluster reads no status that the operator writes. */
export const isSpecWrite = (request: ProxiedRequest): boolean => isWrite(request) && request.subresource !== 'status';

/** Whether a request records an event. */
export const isEvent = ({ verb, resource }: ProxiedRequest): boolean =>
  verb !== 'get' && verb !== 'list' && verb !== 'watch' && resource === 'events';
