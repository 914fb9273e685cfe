// A pod that carries a server's labels, as anybody who creates pods may choose them: is it given the connection token?
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { conditionOf, OPERATOR_IMAGE, READY_MS, TestNamespace } from '../../support/cluster.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(3 * READY_MS);

/** Logs each connection that it is sent. */
const LISTENER = `require('net').createServer((socket) => { console.log('dialled'); socket.end(); }).listen(4321)`;

/** A pod that listens on the server's port, with what the Service of acme-0 selects by. */
const mimicOn = (nodeName: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'mimic',
    labels: {
      'copilot-operator.dev/tenant': 'acme',
      'copilot-operator.dev/server': 'acme-0',
      'app.kubernetes.io/component': 'server',
    },
  },
  spec: {
    // Past the scheduler, which keeps the two apart: a server's pod repels others with its labels.
    nodeName,
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 0,
    securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'server',
        image: OPERATOR_IMAGE,
        command: ['node', '-e', LISTENER],
        ports: [{ name: 'copilot', containerPort: 4321 }],
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
});

describe('a pod with the labels of a server', () => {
  let namespace: TestNamespace;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    await namespace.createTenant('acme', { server: { binary: 'runtime' }, health: { interval: '1s', timeout: '1s' } });
    await namespace.waitForReady('acme');
  });
  afterAll(() => namespace.close());

  it('is reported by name and never dialled, although the Service sends clients to it', async () => {
    const [server] = await namespace.pods('acme', 'acme-0');
    await namespace.kubectl.ok(['create', '-n', namespace.name, '-f', '-'], mimicOn(server?.spec?.nodeName ?? ''));
    await namespace.kubectl.ok(['wait', 'pod/mimic', '-n', namespace.name, '--for=condition=Ready', '--timeout=60s']);
    const stalled = await namespace.waitForStalled('acme', 'LookAlikePod');
    expect(conditionOf(stalled, 'Stalled').message).toContain('Pod mimic (it has no controller)');
    expect(conditionOf(stalled, 'Ready').status).toBe('True');
    await waitFor('an event names it', async () =>
      (await namespace.events('acme')).some(
        ({ reason, message }) => reason === 'LookAlikePod' && /mimic/.test(message),
      ),
    );

    // The server is replaced meanwhile, so that the operator has every reason to look for another pod to dial.
    const [before] = await namespace.pods('acme', 'acme-0').then((pods) => pods.filter(isNoMimic));
    await namespace.kubectl.ok(['delete', 'secret', 'acme-token', '-n', namespace.name]);
    await namespace.waitForTenant(
      'acme',
      'is served by another pod of its own',
      (found) => found.status?.serversReady === '1/1' && conditionOf(found, 'Ready').status === 'True',
    );
    await waitFor(
      'the pod was replaced',
      async () => {
        const pods = (await namespace.pods('acme', 'acme-0')).filter(isNoMimic);
        return pods.length === 1 && pods[0]?.metadata.uid !== before?.metadata.uid;
      },
      { withinMs: READY_MS, everyMs: 200 },
    );
    await namespace.waitForTenant('acme', 'serves again', (found) => conditionOf(found, 'Ready').status === 'True');
    expect(await namespace.kubectl.ok(['logs', 'mimic', '-n', namespace.name])).toBe('');

    // That it listens, and is selected: this is what the condition warns of.
    const slices = await namespace.kubectl.ok(['get', 'endpointslices', '-n', namespace.name, '-ojson']);
    expect(slices).toContain('"name": "mimic"');

    await namespace.kubectl.ok(['delete', 'pod', 'mimic', '-n', namespace.name]);
    await namespace.waitForTenant(
      'acme',
      'is not Stalled',
      (found) => conditionOf(found, 'Stalled').status === 'False',
    );
  });
});

const isNoMimic = ({ metadata }: { metadata: { name: string } }): boolean => metadata.name !== 'mimic';
