/** What a request asks of the API server, read from its URL alone. */
export interface ApiRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  verb: 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';
  /** Plural; `''` for a path that is no resource (`/readyz`). */
  resource: string;
  namespace: string;
  name: string;
  subresource: string;
}

export function apiRequestOf(method: string, url: string): ApiRequest {
  const { pathname, searchParams: query } = new URL(url, 'http://localhost');
  const parts = pathname.split('/').slice(1).map(decodeURIComponent);
  // /api/v1/... or /apis/GROUP/VERSION/...
  const rest = parts[0] === 'api' ? parts.slice(2) : parts[0] === 'apis' ? parts.slice(3) : [];
  // /namespaces/NAME is the namespace itself, /namespaces/NAME/PLURAL... something in it.
  const scoped = rest[0] === 'namespaces' && rest.length > 2;
  const [resource = '', name = '', subresource = ''] = scoped ? rest.slice(2) : rest;
  const namespace = scoped ? (rest[1] ?? '') : '';
  return { method, path: pathname, query, verb: verbOf(method, name, query), resource, namespace, name, subresource };
}

function verbOf(method: string, name: string, query: URLSearchParams): ApiRequest['verb'] {
  switch (method) {
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name === '' ? 'deletecollection' : 'delete';
    default:
      if (query.get('watch') === 'true') return 'watch';
      return name === '' ? 'list' : 'get';
  }
}
