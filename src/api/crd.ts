/** The CustomResourceDefinitions, as they are in crds/ and in the Helm chart. */
import type { CelRule } from './fields.ts';
import { CATEGORY, COPILOT_SESSION, COPILOT_TENANT, GROUP, MAX_TENANT_NAME_LENGTH, VERSION } from './names.ts';
import { MAX_SESSION_ID_LENGTH, SESSION_ID_PATTERN } from './session-id.ts';
import { session } from './session.ts';
import { structuralSchema, type StructuralSchema } from './structural.ts';
import { tenant } from './tenant.ts';

export interface PrinterColumn {
  name: string;
  type: 'string' | 'integer' | 'date';
  jsonPath: string;
  description: string;
  /** 1: shown by `-o wide` only. */
  priority?: 1;
}

const condition = (type: string, field: string) => `.status.conditions[?(@.type=="${type}")].${field}`;

/** Columns of `kubectl get ct`. */
const tenantColumns: PrinterColumn[] = [
  {
    name: 'Ready',
    type: 'string',
    jsonPath: condition('Ready', 'status'),
    description: 'Whether every desired server runs the desired version and answers pings.',
  },
  {
    name: 'Servers',
    type: 'string',
    jsonPath: '.status.serversReady',
    description: 'Ready and desired servers.',
  },
  {
    name: 'Sessions',
    type: 'integer',
    jsonPath: '.status.sessions.total',
    description: 'Sessions on the volumes.',
  },
  {
    name: 'Health',
    type: 'string',
    jsonPath: condition('Healthy', 'reason'),
    description: 'Result of the pings of the servers.',
  },
  {
    name: 'Version',
    type: 'string',
    jsonPath: '.status.serverVersion',
    description: 'Version of the Copilot CLI that the servers report.',
  },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created.' },
  {
    name: 'Clients',
    type: 'integer',
    priority: 1,
    jsonPath: '.status.clients',
    description: 'Clients that are connected through the gateway.',
  },
  {
    name: 'Endpoint',
    type: 'string',
    priority: 1,
    jsonPath: '.status.endpoint',
    description: 'Address that clients connect to.',
  },
  {
    name: 'Hibernated',
    type: 'string',
    priority: 1,
    jsonPath: condition('Hibernated', 'status'),
    description: 'Whether it sleeps because nobody uses it. Empty without spec.hibernation.',
  },
  {
    name: 'Message',
    type: 'string',
    priority: 1,
    jsonPath: condition('Ready', 'message'),
    description: 'Message of the condition Ready.',
  },
];

/** Columns of `kubectl get csn`. */
const sessionColumns: PrinterColumn[] = [
  {
    name: 'Tenant',
    type: 'string',
    jsonPath: '.spec.tenantRef.name',
    description: 'The tenant whose servers have it.',
  },
  {
    name: 'Ready',
    type: 'string',
    jsonPath: condition('Ready', 'status'),
    description: 'Whether a client can use it now.',
  },
  { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'State of its data.' },
  { name: 'Turns', type: 'integer', jsonPath: '.status.usage.turns', description: 'Prompts that were sent.' },
  {
    name: 'Last-Activity',
    type: 'date',
    jsonPath: '.status.lastActivityTime',
    description: 'Time since the last activity of a turn.',
  },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created.' },
  { name: 'Owner', type: 'string', priority: 1, jsonPath: '.spec.owner', description: 'User who owns it.' },
  {
    name: 'Holder',
    type: 'string',
    priority: 1,
    jsonPath: '.status.lock.holder',
    description: 'User whose turn it is. Empty without spec.collaboration.',
  },
  {
    name: 'Server',
    type: 'string',
    priority: 1,
    jsonPath: '.status.server',
    description: 'The server whose volume holds it.',
  },
  {
    name: 'Bytes',
    type: 'integer',
    priority: 1,
    jsonPath: '.status.sizeBytes',
    description: 'Its size on the volume.',
  },
  {
    name: 'Input-Tokens',
    type: 'integer',
    priority: 1,
    jsonPath: '.status.usage.inputTokens',
    description: 'Tokens sent to models.',
  },
  {
    name: 'Output-Tokens',
    type: 'integer',
    priority: 1,
    jsonPath: '.status.usage.outputTokens',
    description: 'Tokens received from models.',
  },
  // Not a date: kubectl shows dates as the time since then, and this one is in the future.
  { name: 'Expires', type: 'string', priority: 1, jsonPath: '.status.expiresAt', description: 'When it expires.' },
  {
    name: 'Message',
    type: 'string',
    priority: 1,
    jsonPath: condition('Ready', 'message'),
    description: 'Message of the condition Ready.',
  },
];

/** CEL: whether the size in `spec` is at least the one in `other`. Both are checked first: rules also run on values that fail their pattern. */
const isAtLeast = (other: string) =>
  `(isQuantity(${other}) && quantity(self.spec.storage.size).compareTo(quantity(${other})) >= 0)`;

/**
 * Rules on the name are possible at the root only. Services are named after the tenant, and a Service's name begins with a letter and
 * has no dot, which is narrower than what the API server accepts for a custom resource. The rule on the size is here because it reads
 * the status: a size that a volume has not reached can be taken back.
 */
const tenantRules: CelRule[] = [
  {
    rule: `self.metadata.name.size() <= ${MAX_TENANT_NAME_LENGTH}`,
    message: `metadata.name must be at most ${MAX_TENANT_NAME_LENGTH} characters long: the names of servers and volumes begin with it`,
    fieldPath: '.metadata.name',
  },
  {
    rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    message:
      'metadata.name must begin with a letter and contain only lower-case letters, digits and hyphens: Services are named after it',
    fieldPath: '.metadata.name',
  },
  {
    rule: [
      '!isQuantity(self.spec.storage.size)',
      isAtLeast('oldSelf.spec.storage.size'),
      `(has(oldSelf.status) && has(oldSelf.status.minimumStorageSize) && ${isAtLeast('oldSelf.status.minimumStorageSize')})`,
    ].join(' || '),
    message:
      'spec.storage.size must not be below status.minimumStorageSize: volumes do not shrink. Set that size or a larger one',
    fieldPath: '.spec.storage.size',
  },
];

const sessionRules: CelRule[] = [
  {
    rule: `has(self.spec.sessionId) || self.metadata.name.matches('${SESSION_ID_PATTERN}')`,
    message:
      'metadata.name is the session id when spec.sessionId is not set, and an id must not contain a dot: set spec.sessionId, or choose another name',
    fieldPath: '.metadata.name',
  },
  {
    // For new ones only: a resource from before this rule must still be able to lose its finalizer.
    rule: `oldSelf.hasValue() || has(self.spec.sessionId) || self.metadata.name.size() <= ${MAX_SESSION_ID_LENGTH}`,
    message: `metadata.name is the session id when spec.sessionId is not set, and an id must be at most ${MAX_SESSION_ID_LENGTH} characters long: set spec.sessionId, or choose a shorter name`,
    fieldPath: '.metadata.name',
    optionalOldSelf: true,
  },
];

interface ScaleSubresource {
  specReplicasPath: string;
  statusReplicasPath: string;
  labelSelectorPath: string;
}

interface Kind {
  names: typeof COPILOT_TENANT | typeof COPILOT_SESSION;
  description: string;
  schema: StructuralSchema;
  rules: CelRule[];
  columns: PrinterColumn[];
  scale?: ScaleSubresource;
}

function crd({ names, description, schema: { type, properties, required }, rules, columns, scale }: Kind) {
  const { plural, singular, kind, shortNames } = names;
  const root: StructuralSchema = {
    description,
    ...(type && { type }),
    ...(required && { required }),
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object', properties: { name: { type: 'string' } } },
      ...properties,
    },
    'x-kubernetes-validations': rules,
  };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      names: { plural, singular, kind, listKind: `${kind}List`, shortNames: [...shortNames], categories: [CATEGORY] },
      scope: 'Namespaced',
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: columns,
          subresources: { status: {}, ...(scale && { scale }) },
          schema: { openAPIV3Schema: root },
        },
      ],
    },
  };
}
export type Crd = ReturnType<typeof crd>;

export function copilotTenantCrd(): Crd {
  return crd({
    names: COPILOT_TENANT,
    description:
      'CopilotTenant is a trust domain with its own GitHub Copilot CLI servers: their pods, volumes, connection token and network policies.',
    schema: structuralSchema(tenant),
    rules: tenantRules,
    columns: tenantColumns,
    scale: {
      specReplicasPath: '.spec.replicas',
      statusReplicasPath: '.status.replicas',
      labelSelectorPath: '.status.selector',
    },
  });
}

export function copilotSessionCrd(): Crd {
  return crd({
    names: COPILOT_SESSION,
    description:
      'CopilotSession is a named session of a CopilotTenant: it reserves the id, reports its state and deletes its data with it.',
    schema: structuralSchema(session),
    rules: sessionRules,
    columns: sessionColumns,
  });
}

/** Every kind of this project. */
export const crds = (): Crd[] => [copilotTenantCrd(), copilotSessionCrd()];
