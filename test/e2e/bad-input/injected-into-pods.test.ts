// What policies of a cluster put into the pods of servers, and what it keeps them from: each is told as what it is, and no server is
// restarted for it.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { StalledReason } from '../../../src/api/conditions.ts';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import { conditionOf, READY_MS, SERVER_IMAGE, TestNamespace } from '../../support/cluster.ts';
import { changePods } from '../../support/meddling-policy.ts';

/** Gates are waited for without a report, for a minute; a container that crashes is started again after a while. */
const REPORTED_MS = 150_000;

jest.setTimeout(4 * READY_MS);

let namespace: TestNamespace;
beforeAll(async () => {
  namespace = await TestNamespace.open();
  // A policy cannot drop all capabilities of an init container, as "restricted" demands: lists are added as a whole or not at all.
  const enforce = 'pod-security.kubernetes.io/enforce=baseline';
  await namespace.kubectl.ok(['label', 'namespace', namespace.name, '--overwrite', enforce]);
  await namespace.startOperator();
});
afterAll(() => namespace.close());

interface Injected {
  readonly what: string;
  readonly tenant: string;
  readonly spec?: CopilotTenantSpecInput;
  readonly expression: string;
  readonly patchType?: 'JSONPatch' | 'ApplyConfiguration';
  /** Shows in a pod that was changed. */
  readonly mark: string;
  readonly reason: StalledReason;
  readonly texts: readonly string[];
  readonly not?: string;
}

const SAFE =
  'allowPrivilegeEscalation: false, capabilities: Object.spec.containers.securityContext.capabilities{drop: ["ALL"]}';

/** A container whose name sorts before that of the server. */
function sidecar(script: string, more = ''): string {
  const command = JSON.stringify(['sh', '-c', script]);
  const context = `securityContext: Object.spec.containers.securityContext{${SAFE}}`;
  const container = `Object.spec.containers{name: "a-proxy", image: "${SERVER_IMAGE}", command: ${command}, ${context}${more}}`;
  return `[JSONPatch{op: "add", path: "/spec/containers/-", value: ${container}}]`;
}

const CASES: readonly Injected[] = [
  {
    what: 'a missing image of the server, beside a sidecar that runs',
    tenant: 'imageless',
    spec: { server: { image: 'localhost/none:1' } },
    expression: sidecar('sleep 3000'),
    mark: '"a-proxy"',
    reason: 'ImagePullFailed',
    texts: ['Server imageless-0', 'localhost/none:1', 'Check spec.server.image'],
  },
  {
    what: 'a sidecar that exceeds its memory',
    tenant: 'hungry',
    expression: sidecar(
      'sleep 5; head -c 200M /dev/zero | tail',
      ', resources: Object.spec.containers.resources{limits: {"memory": "40Mi"}}',
    ),
    mark: '"a-proxy"',
    reason: 'SidecarFailed',
    texts: [
      'sidecar a-proxy, which exceeded its own memory limit (OOMKilled)',
      'The operator did not add this container',
    ],
    not: 'spec.server.resources',
  },
  {
    what: 'a sidecar that crashes',
    tenant: 'crashing',
    expression: sidecar('echo proxy: no config >&2; exit 3'),
    mark: '"a-proxy"',
    reason: 'SidecarFailed',
    texts: ['sidecar a-proxy, which exited with code 3'],
    not: 'spec.server',
  },
  {
    what: 'an init container without an image',
    tenant: 'initless',
    expression:
      'Object{spec: Object.spec{initContainers: [Object.spec.initContainers{name: "vault-agent-init", image: "localhost/none:1"}]}}',
    patchType: 'ApplyConfiguration',
    mark: '"vault-agent-init"',
    reason: 'InitContainerFailed',
    texts: ['init container vault-agent-init', 'localhost/none:1'],
    not: 'spec.server.image',
  },
  {
    what: 'a scheduling gate that nobody removes',
    tenant: 'gated',
    expression: 'Object{spec: Object.spec{schedulingGates: [Object.spec.schedulingGates{name: "example.com/hold"}]}}',
    patchType: 'ApplyConfiguration',
    mark: '"example.com/hold"',
    reason: 'SchedulingGated',
    texts: ['waits for scheduling gates', 'example.com/hold'],
  },
  {
    what: 'a readiness gate that nobody sets',
    tenant: 'unset',
    expression:
      '[JSONPatch{op: "add", path: "/spec/readinessGates", value: [{"conditionType": "target-health.example.com/lb"}]}]',
    mark: '"target-health.example.com/lb"',
    reason: 'ReadinessGateNotReady',
    texts: ['target-health.example.com/lb'],
  },
];

describe('told as what it is:', () => {
  it.each(CASES)('$what', async ({ tenant, spec, expression, patchType, mark, reason, texts, not }) => {
    const undo = await changePods(namespace, tenant, { expression, mark, ...(patchType && { patchType }) });
    try {
      await namespace.createTenant(tenant, { ...spec, server: { binary: 'runtime', ...spec?.server } });
      const stalled = await namespace.waitForStalled(tenant, reason, REPORTED_MS);
      const { message } = conditionOf(stalled, 'Stalled');
      for (const text of texts) expect(message).toContain(text);
      if (not !== undefined) expect(message).not.toContain(not);
      expect(stalled.status?.servers).toMatchObject([{ restarts: 0 }]);
    } finally {
      await undo();
    }
    const reasons = (await namespace.events(tenant)).map((event) => event.reason);
    expect(reasons).not.toContain('ServerRestarted');
    await namespace.deleteTenant(tenant);
  });
});
