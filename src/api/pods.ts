/** What users set on the pods of a tenant: metadata, the user that they run as, variables, and resources. */
import { z } from 'zod';
import { type CelRule, listMap, mapOf, objectName, quantity, withRules } from './fields.ts';
import { GROUP } from './names.ts';

/** CPU and memory of a container, in the shape of core/v1. */
export const containerResources = z.object({
  requests: mapOf(quantity, 16)
    .exactOptional()
    .describe(
      'Resources reserved for the container. For a resource that has only a limit, the request equals the limit.',
    ),
  limits: mapOf(quantity, 16).exactOptional().describe('Resources that the container may not exceed.'),
});

const QUALIFIED_NAME = '^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$';

function keyRules(field: string, reserved: readonly string[], why: string): CelRule[] {
  const isReserved = reserved.map((prefix) => `key.startsWith('${prefix}')`).join(' || ');
  return [
    {
      rule: `self.all(key, key.matches('${QUALIFIED_NAME}'))`,
      message: `${field}: a key must be a name such as team or example.com/team`,
    },
    {
      rule: `!self.exists(key, ${isReserved})`,
      message: `${field}: keys that begin with ${reserved.join(', ')} are reserved, ${why}: remove them`,
    },
  ];
}

const labelValue = z
  .string()
  .max(63)
  .regex(/^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/);
const annotationValue = z.string().max(4096);

/** `spec.pods`. */
export const pods = z.object({
  labels: withRules(
    mapOf(labelValue, 32),
    ...keyRules(
      'spec.pods.labels',
      [`${GROUP}/`, 'app.kubernetes.io/', 'batch.kubernetes.io/', 'pod-template-hash', 'controller-uid', 'job-name'],
      'because controllers and selectors use them',
    ),
  )
    .exactOptional()
    .describe(
      'Further labels of the pods, for example of a cost centre, or what a webhook selects pods by. A change replaces the servers one at a time.',
    ),
  annotations: withRules(
    mapOf(annotationValue, 32),
    ...keyRules('spec.pods.annotations', [`${GROUP}/`], 'because the operator uses them'),
  )
    .exactOptional()
    .describe(
      'Further annotations of the pods. A change replaces the servers one at a time. Cleanup pods stay outside of service meshes, whatever is set here.',
    ),
  serviceAccountAnnotations: withRules(
    mapOf(annotationValue, 32),
    ...keyRules(
      'spec.pods.serviceAccountAnnotations',
      [`${GROUP}/`, 'kubernetes.io/', 'kubectl.kubernetes.io/'],
      'because the operator or Kubernetes uses them',
    ),
  )
    .exactOptional()
    .describe(
      "Annotations of the pods' ServiceAccount, for the identity at a cloud provider (IRSA, Workload Identity). Whatever the identity may do, the agent may do. Pods get it when they are next created.",
    ),
  securityContext: z
    .enum(['Fixed', 'FromCluster'])
    .exactOptional()
    .describe(
      "Who chooses the user that the pods run as. Fixed (the default): user and group 10001, as in the project's image. FromCluster: the pods name no user and no group, and the platform must set them, as OpenShift's restricted-v2 does. Everything else of the Pod Security standard restricted is set in both cases. A change replaces the servers.",
    ),
});

const variableKeyRef = (kind: 'Secret' | 'ConfigMap') =>
  z.object({
    name: objectName().describe(`Name of the ${kind}, in the namespace of the tenant.`),
    key: z
      .string()
      .min(1)
      .max(253)
      .regex(/^[-._a-zA-Z0-9]+$/)
      .describe(`Key in the ${kind}.`),
  });

/** Variables that a user can't set, and what to do instead. */
const RESERVED_VARIABLES: readonly (readonly [names: readonly string[], remedy: string])[] = [
  [
    [
      'HOME',
      'COPILOT_HOME',
      'COPILOT_AUTO_UPDATE',
      'COPILOT_CONNECTION_TOKEN',
      'COPILOT_PKG_CACHE_HOME',
      'COPILOT_SEA_EXTRACT_ONLY',
      'COPILOT_CLI_DIST_DIR',
    ],
    'the server cannot work with another value. Remove the variable',
  ],
  [['COPILOT_GITHUB_TOKEN'], 'set spec.model.github instead'],
  [['COPILOT_GH_HOST'], 'set spec.server.githubHost instead'],
  [
    ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'],
    'set spec.network.proxy instead',
  ],
  [['NODE_EXTRA_CA_CERTS'], 'set spec.network.caBundle instead'],
];

const variable = withRules(
  z.object({
    name: z
      .string()
      .min(1)
      .max(128)
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
      .describe('Name of the variable.'),
    value: z
      .string()
      .max(32768)
      .exactOptional()
      .describe('Its value. $(NAME) is replaced by the value of a variable before it in the list.'),
    valueFrom: withRules(
      z.object({
        secretKeyRef: variableKeyRef('Secret').exactOptional().describe('Value from a Secret. The agent can read it.'),
        configMapKeyRef: variableKeyRef('ConfigMap').exactOptional().describe('Value from a ConfigMap.'),
      }),
      {
        rule: 'has(self.secretKeyRef) != has(self.configMapKeyRef)',
        message: 'spec.server.env: valueFrom must have either secretKeyRef or configMapKeyRef',
      },
    )
      .exactOptional()
      .describe('Where the value comes from. A change there replaces the servers one at a time.'),
  }),
  {
    rule: '!(has(self.value) && has(self.valueFrom))',
    message: 'spec.server.env: a variable must not have both value and valueFrom: remove one',
  },
  ...RESERVED_VARIABLES.map(([names, remedy]) => ({
    rule: `!(self.name in ${JSON.stringify(names).replaceAll('"', "'")})`,
    message: `spec.server.env must not set ${names.join(', ')}: ${remedy}`,
    fieldPath: '.name',
  })),
);

/** `spec.server.env`. */
export const environment = listMap(variable, 'name', 64);
