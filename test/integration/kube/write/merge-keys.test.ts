import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { listMerge, type ListMerge } from '../../../../src/kube/write/merge-keys.ts';
import { startApiServer, type ApiServer } from '../../../support/apiserver.ts';
import { connect } from '../../../support/kube.ts';

/** The part of an OpenAPI v3 schema that defines how lists are merged. */
interface Schema {
  $ref?: string;
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  items?: Schema;
  default?: unknown;
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  'x-kubernetes-list-map-keys'?: string[];
}

let apiServer: ApiServer;
let connection: ReturnType<typeof connect>;
const documents = new Map<string, Record<string, Schema>>();

beforeAll(async () => {
  apiServer = await startApiServer();
  connection = connect(apiServer.kubeconfig());
}, 90_000);
afterAll(async () => {
  await connection.transport.close();
  await apiServer.stop();
});

async function schemasOf(groupVersion: string): Promise<Record<string, Schema>> {
  const known = documents.get(groupVersion);
  if (known) return known;
  const path = groupVersion === 'v1' ? '/openapi/v3/api/v1' : `/openapi/v3/apis/${groupVersion}`;
  const document = await connection.transport.request<{ components: { schemas: Record<string, Schema> } }>({
    method: 'GET',
    path,
  });
  documents.set(groupVersion, document.components.schemas);
  return document.components.schemas;
}

/** Every list below a schema: its path, and how the server merges it. */
function* listsOf(schemas: Record<string, Schema>, schema: Schema, path = ''): Generator<[string, ListMerge]> {
  const resolved = resolve(schemas, schema);
  for (const [field, inner] of Object.entries(resolved.properties ?? {})) {
    const at = path === '' ? field : `${path}.${field}`;
    // A status is not applied, nor that of a template.
    if (field === 'status') continue;
    if (inner.items) yield [at, mergeOf(schemas, inner)];
    yield* listsOf(schemas, inner.items ?? inner, at);
  }
}

function resolve(schemas: Record<string, Schema>, schema: Schema): Schema {
  const ref = schema.$ref ?? schema.allOf?.[0]?.$ref;
  return ref ? (schemas[ref.replace('#/components/schemas/', '')] ?? {}) : schema;
}

function mergeOf(schemas: Record<string, Schema>, list: Schema): ListMerge {
  const type = list['x-kubernetes-list-type'] ?? 'atomic';
  if (type !== 'map') return { type };
  const item = resolve(schemas, list.items ?? {});
  const keys = (list['x-kubernetes-list-map-keys'] ?? []).map((field) => {
    const value = item.properties?.[field]?.default;
    // An empty default only means that the type is a string.
    return typeof value === 'string' && value !== '' ? { field, default: value } : { field };
  });
  return { type, keys };
}

describe('the table of merge keys', () => {
  it.each([
    ['v1', 'core.v1', 'ConfigMap'],
    ['v1', 'core.v1', 'PersistentVolumeClaim'],
    ['v1', 'core.v1', 'Pod'],
    ['v1', 'core.v1', 'Secret'],
    ['v1', 'core.v1', 'Service'],
    ['v1', 'core.v1', 'ServiceAccount'],
    ['apps/v1', 'apps.v1', 'DaemonSet'],
    ['apps/v1', 'apps.v1', 'Deployment'],
    ['apps/v1', 'apps.v1', 'ReplicaSet'],
    ['apps/v1', 'apps.v1', 'StatefulSet'],
    ['batch/v1', 'batch.v1', 'CronJob'],
    ['batch/v1', 'batch.v1', 'Job'],
    ['networking.k8s.io/v1', 'networking.v1', 'NetworkPolicy'],
    ['policy/v1', 'policy.v1', 'PodDisruptionBudget'],
    ['rbac.authorization.k8s.io/v1', 'rbac.v1', 'Role'],
    ['rbac.authorization.k8s.io/v1', 'rbac.v1', 'RoleBinding'],
  ])('says of every list in %s what the API server says (%s.%s)', async (groupVersion, pkg, kind) => {
    const schemas = await schemasOf(groupVersion);
    const schema = schemas[`io.k8s.api.${pkg}.${kind}`];
    expect(schema).toBeDefined();
    const server = Object.fromEntries(listsOf(schemas, schema ?? {}));
    const ours = Object.fromEntries(Object.keys(server).map((path) => [path, listMerge(kind, path)]));
    expect(ours).toEqual(server);
  });
});
