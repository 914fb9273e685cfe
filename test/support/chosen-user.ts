/** A namespace whose platform chooses the user of every pod, as OpenShift's security context constraints do. */
import type { TestNamespace } from './cluster.ts';
import { waitFor } from './wait.ts';

const API = 'admissionregistration.k8s.io/v1';
const KINDS = [
  'mutatingadmissionpolicybinding',
  'mutatingadmissionpolicy',
  'validatingadmissionpolicybinding',
  'validatingadmissionpolicy',
];

/**
 * Has the API server give `uid` to every pod of a tenant that names no user, with group 0 and the uid as the group of its volumes, and
 * refuse every other user. Resolves when both are in force, to what takes them away again.
 */
export async function chooseUser(namespace: TestNamespace, uid: number): Promise<AsyncDisposable> {
  const { name: space, kubectl } = namespace;
  const name = `${space}-user`;
  const matchConstraints = {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': space } },
    objectSelector: { matchExpressions: [{ key: 'copilot-operator.dev/tenant', operator: 'Exists' }] },
    resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
  };
  const fields = { runAsUser: uid, runAsGroup: 0, fsGroup: uid };
  const patches = Object.entries(fields).map(
    ([field, value]) => `JSONPatch{op: "add", path: "/spec/securityContext/${field}", value: ${value}}`,
  );
  const chosen = 'has(object.spec.securityContext.runAsUser)';
  const objects = [
    {
      apiVersion: API,
      kind: 'MutatingAdmissionPolicy',
      metadata: { name },
      spec: {
        failurePolicy: 'Fail',
        reinvocationPolicy: 'Never',
        matchConstraints,
        matchConditions: [{ name: 'names-no-user', expression: `!${chosen}` }],
        mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression: `[${patches.join(', ')}]` } }],
      },
    },
    { apiVersion: API, kind: 'MutatingAdmissionPolicyBinding', metadata: { name }, spec: { policyName: name } },
    {
      apiVersion: API,
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name },
      spec: {
        failurePolicy: 'Fail',
        matchConstraints,
        validations: [
          {
            expression: `${chosen} && object.spec.securityContext.runAsUser == ${uid}`,
            message:
              'unable to validate against any security context constraint: runAsUser must be in the range of the namespace',
          },
        ],
      },
    },
    {
      apiVersion: API,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name },
      spec: { policyName: name, validationActions: ['Deny'] },
    },
  ];
  const remove = async (): Promise<void> => {
    for (const kind of KINDS) await kubectl.ok(['delete', kind, name, '--ignore-not-found']);
  };
  // The API server takes a moment to begin with a policy.
  const inForce = async (): Promise<boolean> => {
    const [free, fixed] = [await dryRun(namespace, {}), await dryRun(namespace, { runAsUser: 10001 })];
    return free.stdout.includes(`"runAsUser": ${uid}`) && fixed.stderr.includes('runAsUser must be in the range');
  };
  try {
    for (const object of objects) await kubectl.ok(['create', '-f', '-'], object);
    await waitFor('the platform chooses the user of pods', inForce, { withinMs: 30_000, everyMs: 500 });
  } catch (error) {
    await remove();
    throw error;
  }
  return { [Symbol.asyncDispose]: remove };
}

/** What the API server makes of a pod of a tenant, which it does not create. */
function dryRun({ name, kubectl }: TestNamespace, user: { runAsUser?: number }) {
  const container = {
    name: 'probe',
    image: 'localhost/probe',
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  };
  return kubectl.try(['create', '-o', 'json', '--dry-run=server', '-f', '-'], {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'probe', namespace: name, labels: { 'copilot-operator.dev/tenant': 'probe' } },
    spec: {
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' }, ...user },
      containers: [container],
    },
  });
}
