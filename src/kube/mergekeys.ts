/**
 * How the API server merges lists when it applies. It is the table that its OpenAPI schema holds as
 * `x-kubernetes-list-type`, for the kinds that a controller writes; test/integration/kube checks it against the server.
 */
export type ListMerge =
  /** Replaced as a whole by whoever applies it. */
  | { type: 'atomic' }
  /** A set of scalars: each writer owns its members. */
  | { type: 'set' }
  /** Items known by these fields: each writer owns its items. A key field that is absent has the default given. */
  | { type: 'map'; keys: readonly ListKey[] };

export interface ListKey {
  field: string;
  default?: string;
}

const atomic: ListMerge = { type: 'atomic' };
const set: ListMerge = { type: 'set' };
const map = (...keys: (string | ListKey)[]): ListMerge => ({
  type: 'map',
  keys: keys.map((key) => (typeof key === 'string' ? { field: key } : key)),
});
const protocol: ListKey = { field: 'protocol', default: 'TCP' };

const container = {
  '': map('name'),
  env: map('name'),
  ports: map('containerPort', protocol),
  'resources.claims': map('name'),
  volumeDevices: map('devicePath'),
  volumeMounts: map('mountPath'),
};

const podSpec: Record<string, ListMerge> = {
  ...under('containers', container),
  ...under('ephemeralContainers', container),
  hostAliases: map('ip'),
  imagePullSecrets: map('name'),
  ...under('initContainers', container),
  resourceClaims: map('name'),
  'resources.claims': map('name'),
  schedulingGates: map('name'),
  topologySpreadConstraints: map('topologyKey', 'whenUnsatisfiable'),
  volumes: map('name'),
};

const metadata: Record<string, ListMerge> = { finalizers: set, ownerReferences: map('uid') };
const podTemplate = { ...under('spec.template.spec', podSpec), ...under('spec.template.metadata', metadata) };
const jobTemplate = under('spec.jobTemplate', { ...podTemplate, ...under('metadata', metadata) });

/** By kind: the path of each list that is not atomic, without indexes. */
export const mergeKeys: Readonly<Record<string, Readonly<Record<string, ListMerge>>>> = {
  CronJob: jobTemplate,
  DaemonSet: podTemplate,
  Deployment: podTemplate,
  Job: podTemplate,
  Pod: under('spec', podSpec),
  ReplicaSet: podTemplate,
  Service: { 'spec.ports': map('port', protocol) },
  ServiceAccount: { secrets: map('name') },
  StatefulSet: podTemplate,
};

/** How a list at a path (`spec.template.spec.containers.env`) of a kind is merged; atomic unless the table says otherwise. */
export function listMerge(kind: string, path: string): ListMerge {
  const own = mergeKeys[kind]?.[path];
  if (own) return own;
  return path.startsWith('metadata.') ? (metadata[path.slice('metadata.'.length)] ?? atomic) : atomic;
}

function under(prefix: string, table: Readonly<Record<string, ListMerge>>): Record<string, ListMerge> {
  return Object.fromEntries(
    Object.entries(table).map(([path, merge]) => [path === '' ? prefix : `${prefix}.${path}`, merge]),
  );
}
