/**
 * A healthy tenant beside the ones that go wrong, and the proof that nothing reached it: the same pod without a restart,
 * and no write to any of its objects. Its status is one of them, so its conditions have not moved either.
 */
import { expect } from '@jest/globals';
import {
  Deployment,
  NetworkPolicy,
  PersistentVolumeClaim,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceAccount,
} from '../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../src/kube/types/resource.ts';
import { CopilotTenant } from '../../src/resources/tenant.ts';
import type { TestNamespace } from './cluster.ts';
import { waitFor } from './wait.ts';

const NAME = 'bystander';

export class Bystander {
  readonly #namespace: TestNamespace;
  #before: Record<string, string> = {};

  private constructor(namespace: TestNamespace) {
    this.#namespace = namespace;
  }

  /** Creates the tenant, waits until it is Ready and records its state. */
  static async start(namespace: TestNamespace): Promise<Bystander> {
    await namespace.createTenant(NAME, { server: { binary: 'runtime' } });
    await namespace.waitForReady(NAME);
    // Kubernetes' controllers count the ready pod a moment later than the operator.
    await waitFor(
      'everybody has counted its pod',
      async () => {
        const deployment = await namespace.deployment(`${NAME}-0`);
        const budget = await namespace.get(PodDisruptionBudget, `${NAME}-servers`);
        return deployment.status?.availableReplicas === 1 && budget?.status?.currentHealthy === 1;
      },
      { withinMs: 30_000, everyMs: 100 },
    );
    const bystander = new Bystander(namespace);
    bystander.#before = await bystander.#look();
    return bystander;
  }

  async expectUntouched(): Promise<void> {
    expect(await this.#look()).toEqual(this.#before);
  }

  async #look(): Promise<Record<string, string>> {
    const types: [ResourceType, string][] = [
      [CopilotTenant, NAME],
      [Deployment, `${NAME}-0`],
      [Service, `${NAME}-0`],
      [PersistentVolumeClaim, `${NAME}-0`],
      [ServiceAccount, `${NAME}-servers`],
      [NetworkPolicy, `${NAME}-servers`],
      [PodDisruptionBudget, `${NAME}-servers`],
      [Secret, `${NAME}-token`],
      [Secret, `${NAME}-binding`],
    ];
    const versions = await Promise.all(
      types.map(async ([type, name]) => {
        const object = await this.#namespace.get(type, name);
        return [`${type.kind} ${name}`, `${object?.metadata.uid} at ${object?.metadata.resourceVersion}`] as const;
      }),
    );
    const pods = await this.#namespace.pods(NAME);
    const restarts = pods.map(
      ({ metadata, status }) =>
        [`Pod ${metadata.name}`, `restarted ${status?.containerStatuses?.[0]?.restartCount} times`] as const,
    );
    return Object.fromEntries([...versions, ...restarts]);
  }
}
