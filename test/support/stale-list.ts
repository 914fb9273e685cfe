/** A streamed list as an API server answers it that lags behind the others. */
import type { ApiRequest } from './api-request.ts';

/** The paths that read the state of `resourceVersion`, and what has changed since. */
export function staleQuery({ path, query }: ApiRequest, resourceVersion: string): { list: string; watch: string } {
  const list = new URLSearchParams({ resourceVersion, resourceVersionMatch: 'Exact' });
  const selector = query.get('labelSelector');
  if (selector !== null) list.set('labelSelector', selector);
  const watch = new URLSearchParams(query);
  watch.delete('sendInitialEvents');
  watch.delete('resourceVersionMatch');
  watch.set('resourceVersion', resourceVersion);
  return { list: `${path}?${list.toString()}`, watch: `${path}?${watch.toString()}` };
}

/** The lines of a streamed list: each object, and the bookmark that ends it. */
export function staleLines(list: string, resourceVersion: string): string[] {
  const { apiVersion, kind, items } = JSON.parse(list) as { apiVersion: string; kind: string; items?: object[] };
  if (!kind.endsWith('List')) throw new Error(`no list of the state at ${resourceVersion}: ${list.slice(0, 300)}`);
  const type = { apiVersion, kind: kind.slice(0, -'List'.length) };
  const annotations = { 'k8s.io/initial-events-end': 'true' };
  const end = { type: 'BOOKMARK', object: { ...type, metadata: { resourceVersion, annotations } } };
  const added = (items ?? []).map((item) => ({ type: 'ADDED', object: { ...item, ...type } }));
  return [...added, end].map((event) => JSON.stringify(event));
}
