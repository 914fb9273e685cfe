// The images as the kubelet runs them: under Pod Security "restricted", with a read-only root.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Pod } from '../../../src/kube/types/builtins.ts';
import { SERVER_IMAGE, TestNamespace } from '../../support/cluster.ts';
import { cliVersion } from '../../support/copilot-binary.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(120_000);

/** Differs between the local cluster and one that the images were pushed for. */
const registry = SERVER_IMAGE.slice(0, SERVER_IMAGE.lastIndexOf('/'));
const OPERATOR_IMAGE = `${registry}/copilot-operator:dev`;
const MODEL_IMAGE = `${registry}/copilot-test-model:dev`;

describe('the image', () => {
  let namespace: TestNamespace;
  let pods = 0;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
  });
  afterAll(() => namespace.close());

  /** Runs a script in an image to its end, with only $HOME writable, and returns its output. */
  async function run(image: string, script: string): Promise<string> {
    pods += 1;
    const name = `run-${pods}`;
    await namespace.kubectl.ok(['create', '-n', namespace.name, '-f', '-'], {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: {
        restartPolicy: 'Never',
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: 'run',
            image,
            command: ['sh', '-c', script],
            env: [{ name: 'HOME', value: '/home/run' }],
            volumeMounts: [{ name: 'home', mountPath: '/home/run' }],
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
          },
        ],
        volumes: [{ name: 'home', emptyDir: {} }],
      },
    });
    const phase = await waitFor(
      `pod ${name} of ${image} ends`,
      async () => {
        const { status } = await namespace.client.get(Pod, namespace.ref(name));
        const waiting = status?.containerStatuses?.[0]?.state?.waiting?.message;
        if (waiting !== undefined) throw new Error(waiting);
        return ['Succeeded', 'Failed'].find((end) => end === status?.phase);
      },
      { withinMs: 60_000, everyMs: 100 },
    );
    const printed = await namespace.kubectl.ok(['logs', '-n', namespace.name, name]);
    if (phase === 'Failed') throw new Error(`the script failed in ${image}: ${printed}`);
    return printed.trim();
  }

  it('of the operator starts without a uid in the pod, prints its CRDs, and contains the licences', async () => {
    const printed = await run(OPERATOR_IMAGE, 'id -u; cd /opt/copilot-operator; ls; node main.js crds');
    expect(printed.split('\n')).toEqual(expect.arrayContaining(['65532', 'LICENSE', 'THIRD-PARTY-LICENSES']));
    expect(printed).toContain('copilottenants.copilot-operator.dev');
  });

  it('of the Copilot CLI has what servers and agents need, unpacked, and its licence', async () => {
    const printed = await run(
      SERVER_IMAGE,
      `id -u; pwd
       for program in copilot copilot-runtime bash git; do command -v $program; done
       head -n 1 /usr/share/doc/copilot-cli/LICENSE.md
       copilot --no-auto-update --version | head -n 1
       ls -A "$HOME/.cache/copilot/pkg" 2>/dev/null | wc -l
       stat -c '%u:%g %a' /home/copilot /workspace`,
    );
    expect(printed.split('\n').filter(Boolean)).toEqual([
      '10001',
      '/workspace',
      '/usr/local/bin/copilot',
      '/usr/local/bin/copilot-runtime',
      '/usr/bin/bash',
      '/usr/bin/git',
      'GitHub Copilot CLI License',
      expect.stringContaining(`CLI ${cliVersion()}`),
      // Nothing was unpacked into $HOME.
      '0',
      // Any uid of group 0 may write what the image's user may.
      '10001:0 775',
      '10001:0 775',
    ]);
  });

  it('of the test model starts without a uid in the pod', async () => {
    expect(await run(MODEL_IMAGE, 'id -u; node --check /opt/test-model/main.ts && echo fine')).toBe('65532\nfine');
  });
});
