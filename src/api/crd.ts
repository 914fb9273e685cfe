/** The CustomResourceDefinition of CopilotTenant, as it stands in crds/ and in the Helm chart. */
import { CATEGORY, COPILOT_TENANT, GROUP, MAX_TENANT_NAME_LENGTH, VERSION } from './names.ts';
import { structuralSchema, type StructuralSchema } from './structural.ts';
import { tenant } from './tenant.ts';

const condition = (type: string, field: string) => `.status.conditions[?(@.type=="${type}")].${field}`;

/** Columns of `kubectl get ct`; those of priority 1 are shown by `-o wide` only. */
const printerColumns = [
  {
    name: 'Ready',
    type: 'string',
    jsonPath: condition('Ready', 'status'),
    description: 'Whether every wanted server is up, current and answers.',
  },
  {
    name: 'Servers',
    type: 'string',
    jsonPath: '.status.serversReady',
    description: 'Ready servers of wanted ones.',
  },
  {
    name: 'Health',
    type: 'string',
    jsonPath: condition('Healthy', 'reason'),
    description: 'What the pings of the servers say.',
  },
  {
    name: 'Version',
    type: 'string',
    jsonPath: '.status.serverVersion',
    description: 'Version of the Copilot CLI that the servers report.',
  },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created.' },
  {
    name: 'Endpoint',
    type: 'string',
    priority: 1,
    jsonPath: '.status.endpoint',
    description: 'Address of the first server inside the cluster.',
  },
  {
    name: 'Message',
    type: 'string',
    priority: 1,
    jsonPath: condition('Ready', 'message'),
    description: 'Why it is ready, or not.',
  },
];

/**
 * Rules on the name can only stand at the root. Services are named after the tenant, and a Service's name begins with
 * a letter and has no dot, which is narrower than what the API server lets a custom resource be called.
 */
const nameRules = [
  {
    rule: `self.metadata.name.size() <= ${MAX_TENANT_NAME_LENGTH}`,
    message: `metadata.name must be no longer than ${MAX_TENANT_NAME_LENGTH} characters: the names of its servers and volumes begin with it`,
    fieldPath: '.metadata.name',
  },
  {
    rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    message:
      'metadata.name must begin with a letter and hold only lower-case letters, digits and hyphens: Services are named after it',
    fieldPath: '.metadata.name',
  },
];

function rootSchema(): StructuralSchema {
  const { type, properties } = structuralSchema(tenant);
  return {
    description:
      'CopilotTenant is a trust domain with its own GitHub Copilot CLI servers: their pods, volumes, connection token and network walls.',
    ...(type && { type }),
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object', properties: { name: { type: 'string' } } },
      ...properties,
    },
    'x-kubernetes-validations': nameRules,
  };
}

export function copilotTenantCrd() {
  const { plural, singular, kind, shortNames } = COPILOT_TENANT;
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
          additionalPrinterColumns: printerColumns,
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.selector',
            },
          },
          schema: { openAPIV3Schema: rootSchema() },
        },
      ],
    },
  };
}
