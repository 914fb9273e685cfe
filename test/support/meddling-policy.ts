import { SERVER_IMAGE, type TestNamespace } from './cluster.ts';
import { waitFor } from './wait.ts';

/** The pod as the API server would make it now, without making it. */
type DryRun = () => Promise<string>;

interface Meddling {
  /** CEL: the JSON patch of a pod, or what is merged into it. */
  readonly expression: string;
  readonly patchType?: 'JSONPatch' | 'ApplyConfiguration';
  /** What of it shows in a pod that is made while the policy is in force. */
  readonly mark: string;
}

/**
 * A policy of the cluster that gives pods with these labels another connection token: of two entries of a name in the
 * environment the last one counts. Resolves when it is in force, to what takes it away again.
 */
export function giveWrongToken(
  namespace: TestNamespace,
  labels: Record<string, string>,
  dryRun: DryRun,
): Promise<() => Promise<void>> {
  const expression =
    '[JSONPatch{op: "add", path: "/spec/containers/0/env/-", value: Object.spec.containers.env{name: "COPILOT_CONNECTION_TOKEN", value: "another"}}]';
  return meddle(namespace, labels, dryRun, { expression, mark: '"another"' });
}

/** A policy of the cluster that has the servers of a tenant run a script of the shell instead of their program. */
export function runScriptInstead(
  namespace: TestNamespace,
  tenant: string,
  script: string,
): Promise<() => Promise<void>> {
  const expression = [
    `JSONPatch{op: "replace", path: "/spec/containers/0/command", value: ["sh", "-c", ${JSON.stringify(script)}]}`,
    'JSONPatch{op: "replace", path: "/spec/containers/0/args", value: ["instead"]}',
  ];
  return changePods(namespace, tenant, { expression: `[${expression.join(', ')}]`, mark: '"instead"' });
}

/** A policy of the cluster that adds a container that never ends to pods with these labels. */
export function addSidecar(namespace: TestNamespace, labels: Record<string, string>): Promise<() => Promise<void>> {
  const sidecar = `Object.spec.containers{name: "a-sidecar", image: "${SERVER_IMAGE}", command: ["sh", "-c", "sleep 30000"], securityContext: Object.spec.containers.securityContext{allowPrivilegeEscalation: false, capabilities: Object.spec.containers.securityContext.capabilities{drop: ["ALL"]}}}`;
  return meddle(namespace, labels, () => dryRunPod(namespace, labels), {
    expression: `[JSONPatch{op: "add", path: "/spec/containers/-", value: ${sidecar}}]`,
    mark: '"a-sidecar"',
  });
}

/** A policy of the cluster that changes the pods of a tenant. Resolves when it is in force, to what takes it away again. */
export function changePods(namespace: TestNamespace, tenant: string, meddling: Meddling): Promise<() => Promise<void>> {
  const labels = { 'copilot-operator.dev/tenant': tenant };
  return meddle(namespace, labels, () => dryRunPod(namespace, labels), meddling);
}

/** The API server's idea of a pod with these labels, which is not made. */
export function dryRunPod(namespace: TestNamespace, labels: Record<string, string>): Promise<string> {
  return namespace.kubectl.ok(['create', '-o', 'json', '--dry-run=server', '--validate=false', '-f', '-'], {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'probe', namespace: namespace.name, labels },
    spec: {
      securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'probe',
          image: 'localhost/probe',
          command: ['probe'],
          args: ['probe'],
          env: [{ name: 'A', value: 'b' }],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  });
}

async function meddle(
  namespace: TestNamespace,
  labels: Record<string, string>,
  dryRun: DryRun,
  { expression, patchType = 'JSONPatch', mark }: Meddling,
): Promise<() => Promise<void>> {
  const { name: space, kubectl } = namespace;
  const name = `${space}-${Object.values(labels).join('-')}`;
  const policy = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingAdmissionPolicy',
    metadata: { name },
    spec: {
      failurePolicy: 'Fail',
      reinvocationPolicy: 'Never',
      matchConstraints: {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': space } },
        objectSelector: { matchLabels: labels },
        resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      },
      mutations: [
        patchType === 'JSONPatch'
          ? { patchType, jsonPatch: { expression } }
          : { patchType, applyConfiguration: { expression } },
      ],
    },
  };
  const binding = {
    apiVersion: policy.apiVersion,
    kind: 'MutatingAdmissionPolicyBinding',
    metadata: { name },
    spec: { policyName: name },
  };
  // The API server takes a moment to begin with a policy, and another one to end with it when it is deleted.
  const until = (inForce: boolean) =>
    waitFor(
      `the policy is ${inForce ? '' : 'no longer '}in force`,
      async () => (await dryRun()).includes(mark) === inForce || undefined,
      { withinMs: 30_000, everyMs: 500 },
    );
  const undo = async (): Promise<void> => {
    for (const kind of ['mutatingadmissionpolicybinding', 'mutatingadmissionpolicy']) {
      await kubectl.ok(['delete', kind, name, '--ignore-not-found']);
    }
    await until(false);
  };
  try {
    await kubectl.ok(['create', '-f', '-'], policy);
    await kubectl.ok(['create', '-f', '-'], binding);
    await until(true);
  } catch (error) {
    await undo();
    throw error;
  }
  return undo;
}
