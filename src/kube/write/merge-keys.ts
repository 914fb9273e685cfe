/**
 * How the API server merges lists on apply: the `x-kubernetes-list-type` of its OpenAPI schema, for the kinds that a controller
 * writes. test/integration/kube compares the table with the server.
 */
export type ListMerge =
  /** Each apply replaces it as a whole. */
  | { type: 'atomic' }
  /** A set of scalars: each writer owns its members. */
  | { type: 'set' }
  /** Items are identified by these fields: each writer owns its items. A key field that is absent has the given default. */
  | { type: 'map'; keys: readonly ListKey[] };

/** A field that identifies an item of a list. */
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
const ownerReferences = map('uid');
const protocol: ListKey = { field: 'protocol', default: 'TCP' };

const container = {
  '': map('name'),
  env: map('name'),
  ports: map('containerPort', protocol),
  'restartPolicyRules.exitCodes.values': set,
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

const podTemplate = under('spec.template.spec', podSpec);
const job = { ...podTemplate, 'spec.podFailurePolicy.rules.onExitCodes.values': set };

/** By kind: the path of each list that is not atomic, without indexes. */
const mergeKeys: Readonly<Record<string, Readonly<Record<string, ListMerge>>>> = {
  CronJob: under('spec.jobTemplate', job),
  DaemonSet: podTemplate,
  Deployment: podTemplate,
  Job: job,
  Pod: under('spec', podSpec),
  ReplicaSet: podTemplate,
  Service: { 'spec.ports': map('port', protocol) },
  ServiceAccount: { secrets: map('name') },
  StatefulSet: podTemplate,
};

/** How a list at a path (`spec.template.spec.containers.env`) of a kind is merged; atomic unless the table says otherwise. */
export function listMerge(kind: string, path: string): ListMerge {
  // The same for all metadata: of the object, of a template in it, of a claim in a volume.
  if (/(^|\.)metadata\.finalizers$/.test(path)) return set;
  if (/(^|\.)metadata\.ownerReferences$/.test(path)) return ownerReferences;
  return mergeKeys[kind]?.[path] ?? atomic;
}

function under(prefix: string, table: Readonly<Record<string, ListMerge>>): Record<string, ListMerge> {
  return Object.fromEntries(
    Object.entries(table).map(([path, merge]) => [path === '' ? prefix : `${prefix}.${path}`, merge]),
  );
}
