import type { TestNamespace } from './cluster.ts';
import { waitFor } from './wait.ts';

/** The pod as the API server would make it now, without making it. */
type DryRun = () => Promise<string>;

/**
 * A policy of the cluster that gives pods with these labels another connection token: of two entries of a name in the
 * environment the last one counts. Resolves when it is in force, to what takes it away again.
 */
export async function giveWrongToken(
  namespace: TestNamespace,
  labels: Record<string, string>,
  dryRun: DryRun,
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
        {
          patchType: 'JSONPatch',
          jsonPatch: {
            expression:
              '[JSONPatch{op: "add", path: "/spec/containers/0/env/-", value: Object.spec.containers.env{name: "COPILOT_CONNECTION_TOKEN", value: "another"}}]',
          },
        },
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
      async () => (await dryRun()).includes('"another"') === inForce || undefined,
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
