/**
 * A simulated API server with just what the operator uses: it stores what it is sent, validates nothing, and plays the kubelet for every
 * Deployment. So the cost of an operator with 10,000 tenants is measured on a machine that a real API server with them would fill.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { API_VERSION, COPILOT_TENANT } from '../../src/api/names.ts';
import { tenantSpec } from '../../src/api/tenant.ts';
import * as builtins from '../../src/kube/types/builtins.ts';
import type { KubeObject } from '../../src/kube/types/types.ts';
import { credentialHash } from '../../src/resources/binding.ts';
import { serverLabels, serverName } from '../../src/resources/names.ts';
import { apiRequestOf, type ApiRequest } from '../../test/support/api-request.ts';

type Stored = KubeObject & { spec?: Record<string, unknown>; status?: Record<string, unknown> };
interface Watch {
  readonly resource: string;
  /** Labels and their values; undefined: any value. */
  readonly selector: readonly [string, string | undefined][];
  readonly response: ServerResponse;
  readonly type: { readonly apiVersion: string; readonly kind: string };
}

const [certFile = '', keyFile = '', namespaceOfTenants = ''] = process.argv.slice(2);
/** Every address of the machine answers as a Copilot server (responder.ts). */
const podIPOf = (index: number): string => `127.${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;

/** By resource, then by namespace and name. */
const objects = new Map<string, Map<string, Stored>>();
const watches = new Set<Watch>();
const ready = new Set<string>();
let version = 1;
let pods = 0;
let writes = 0;

function store(resource: string, object: Stored): Stored {
  const all = objects.get(resource) ?? new Map<string, Stored>();
  objects.set(resource, all);
  const key = `${object.metadata.namespace}/${object.metadata.name}`;
  const type = all.has(key) ? 'MODIFIED' : 'ADDED';
  version += 1;
  const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
  all.set(key, stored);
  const line = `${JSON.stringify({ type, object: stored })}\n`;
  for (const watch of watches)
    if (watch.resource === resource && matches(stored, watch.selector)) watch.response.write(line);
  return stored;
}

function create(resource: string, object: Stored): Stored {
  const { metadata } = object;
  const created = store(resource, {
    ...object,
    metadata: {
      ...metadata,
      namespace: metadata.namespace ?? namespaceOfTenants,
      uid: randomUUID(),
      generation: 1,
      creationTimestamp: now(),
      managedFields: [managedFields(object)],
    },
  });
  if (resource === 'deployments' && object.spec?.['replicas'] !== 0) runPod(created);
  if (resource === 'persistentvolumeclaims') store(resource, { ...created, status: { phase: 'Bound' } });
  return created;
}

/** As large as real ones: a key for every field. */
function managedFields({ metadata, spec = {} }: Stored): object {
  const fieldsOf = (value: unknown): object => {
    if (typeof value !== 'object' || value === null) return {};
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [`f:${name}`, fieldsOf(inner)]));
  };
  const { labels, annotations, ownerReferences } = metadata;
  const fieldsV1 = { 'f:metadata': fieldsOf({ labels, annotations, ownerReferences }), 'f:spec': fieldsOf(spec) };
  return { manager: 'copilot-operator', operation: 'Update', time: now(), fieldsType: 'FieldsV1', fieldsV1 };
}

function runPod(deployment: Stored): void {
  const { name, namespace } = deployment.metadata;
  const template = deployment.spec?.['template'] as Stored;
  const reference = (owner: Stored) => [
    {
      apiVersion: owner.apiVersion,
      kind: owner.kind,
      name: owner.metadata.name,
      uid: owner.metadata.uid ?? '',
      controller: true,
    },
  ];
  const inNamespace = { ...(namespace !== undefined && { namespace }), labels: template.metadata.labels ?? {} };
  const set = create('replicasets', {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { ...inNamespace, name: `${name}-1`, ownerReferences: reference(deployment) },
    spec: { replicas: 1 },
    status: { replicas: 1 },
  });
  pods += 1;
  const podIP = podIPOf(pods);
  const state = { running: { startedAt: now() } };
  const container = { name: 'server', image: 'i', imageID: 'i', ready: true, started: true, restartCount: 0, state };
  create('pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...template.metadata, ...inNamespace, name: `${name}-1-1`, ownerReferences: reference(set) },
    spec: { ...template.spec, nodeName: 'node' },
    status: {
      phase: 'Running',
      podIP,
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [container],
    },
  });
  const status = { observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1 };
  store('deployments', { ...deployment, status });
}

function handle(request: ApiRequest, body: Stored | undefined, response: ServerResponse): void {
  const { verb, resource, namespace, name, subresource } = request;
  if (verb === 'watch') return watch(request, response);
  if (verb !== 'get' && verb !== 'list') writes += 1;
  const found = objects.get(resource)?.get(`${namespace}/${name}`);
  if (verb === 'create' && body !== undefined) {
    if (resource === 'events') return answer(response, 201, body);
    if (objects.get(resource)?.has(`${namespace}/${body.metadata.name}`) === true)
      return refuse(response, 409, 'AlreadyExists', `${body.metadata.name} already exists`);
    return answer(response, 201, create(resource, { ...body, metadata: { ...body.metadata, namespace } }));
  }
  if (verb === 'list') return answer(response, 200, { metadata: { resourceVersion: String(version) }, items: [] });
  if (found === undefined) return refuse(response, 404, 'NotFound', `${name} not found`);
  if (verb === 'get') return answer(response, 200, found);
  if (verb === 'update' && subresource === 'status' && body?.status !== undefined) {
    if (body.status['conditions'] !== undefined && isReady(body)) ready.add(name);
    return answer(response, 200, store(resource, { ...found, status: body.status }));
  }
  if (verb === 'update' && resource === 'leases' && body !== undefined)
    return answer(response, 200, store(resource, body));
  return refuse(response, 405, 'MethodNotAllowed', `${verb} ${resource} is not simulated`);
}

function isReady({ status }: Stored): boolean {
  const conditions = (status?.['conditions'] ?? []) as { type: string; status: string }[];
  return conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True');
}

function watch({ resource, path, query }: ApiRequest, response: ServerResponse): void {
  const selector = (query.get('labelSelector') ?? '')
    .split(',')
    .filter((term) => term !== '')
    .map((term): [string, string | undefined] => {
      const [key = '', value] = term.split('=');
      return [key, value];
    });
  const entry = { resource, selector, response, type: typeOf(resource, path) };
  response.writeHead(200, { 'content-type': 'application/json' });
  for (const object of objects.get(resource)?.values() ?? []) {
    if (matches(object, selector)) response.write(`${JSON.stringify({ type: 'ADDED', object })}\n`);
  }
  bookmark(entry, true);
  watches.add(entry);
  response.once('close', () => watches.delete(entry));
}

/** Clients in Go decode no object without its type. */
function typeOf(resource: string, path: string): Watch['type'] {
  const [, root, first = '', second = ''] = path.split('/');
  const known = [COPILOT_TENANT, ...Object.values(builtins)].find(({ plural }) => plural === resource);
  return { apiVersion: root === 'api' ? first : `${first}/${second}`, kind: known?.kind ?? '' };
}

function bookmark({ response, type }: Pick<Watch, 'response' | 'type'>, end: boolean): void {
  const annotations = end ? { 'k8s.io/initial-events-end': 'true' } : {};
  const object = { ...type, metadata: { resourceVersion: String(version), annotations } };
  response.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
}

function matches({ metadata: { labels = {} } }: Stored, selector: Watch['selector']): boolean {
  return selector.every(([key, value]) => (value === undefined ? key in labels : labels[key] === value));
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function refuse(response: ServerResponse, code: number, reason: string, message: string): void {
  answer(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message });
}

function now(): string {
  return new Date().toISOString().replace(/\.\d+/, '');
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const parsed = apiRequestOf(request.method ?? 'GET', request.url ?? '/');
  handle(parsed, text === '' ? undefined : (JSON.parse(text) as Stored), response);
}

const server = createServer(
  { cert: readFileSync(certFile), key: readFileSync(keyFile), keepAliveTimeout: 0 },
  (request, response) => {
    serve(request, response).catch((error: unknown) => answer(response, 500, { message: String(error) }));
  },
);
server.listen(0, '127.0.0.1', () => process.send?.(server.address()));
// As a real one does.
setInterval(() => {
  for (const watch of watches) bookmark(watch, false);
}, 60_000).unref();

/** What an operator has made of a tenant, as far as a gateway reads it: a credential, and a server that runs. */
function addServer({ metadata }: Stored): void {
  const { name, uid = '' } = metadata;
  const credentials = [{ sha256: credentialHash(name), since: now() }];
  const tenant = objects.get(COPILOT_TENANT.plural)?.get(`${namespaceOfTenants}/${name}`);
  if (tenant !== undefined)
    store(COPILOT_TENANT.plural, { ...tenant, status: { access: 'Gateway', binding: { credentials } } });
  const owner = { apiVersion: API_VERSION, kind: COPILOT_TENANT.kind, name, uid, controller: true };
  create('deployments', {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: serverName(name, 0), namespace: namespaceOfTenants, ownerReferences: [owner] },
    spec: { template: { metadata: { labels: serverLabels(name, 0) }, spec: { containers: [] } } },
  });
}

/** What an operator has written of a tenant that sleeps. */
function putToSleep({ metadata }: Stored): void {
  const tenant = objects.get(COPILOT_TENANT.plural)?.get(`${namespaceOfTenants}/${metadata.name}`);
  const hibernation = { phase: 'Stopped', epoch: 3, since: now() };
  if (tenant !== undefined) store(COPILOT_TENANT.plural, { ...tenant, status: { access: 'Gateway', hibernation } });
}

/** What `addTenants` of simulated-api.ts asks for. */
interface Order {
  readonly tenants?: number;
  /** With a server, as an operator leaves them. */
  readonly served?: boolean;
  readonly asleep?: boolean;
}

/** Any message is answered with the counts. */
process.on('message', ({ tenants = 0, served = false, asleep = false }: Order) => {
  const first = objects.get(COPILOT_TENANT.plural)?.size ?? 0;
  for (let index = first; index < first + tenants; index++) {
    const metadata = { name: `t${index}`, namespace: namespaceOfTenants };
    const created = create(COPILOT_TENANT.plural, {
      apiVersion: API_VERSION,
      kind: COPILOT_TENANT.kind,
      metadata,
      spec: { ...tenantSpec.parse(asleep ? { access: 'Gateway', hibernation: { afterIdle: '15m' } } : {}) },
    });
    if (served) addServer(created);
    if (asleep) putToSleep(created);
  }
  process.send?.({ ready: ready.size, writes });
});
// So that a benchmark that was killed leaves nothing behind.
process.on('disconnect', () => process.exit());
