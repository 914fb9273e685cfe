import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import { deployment, imageOf, restartOf, type DeploymentFacts } from '../../../../src/tenant/builders/deployment.ts';
import { sampleTenant } from '../../../support/tenants.ts';

const facts: DeploymentFacts = { image: 'example.com/copilot:1', running: true, credentialsHash: 'hash' };

const build = (spec: CopilotTenantSpecInput = {}, other: Partial<DeploymentFacts> = {}, index = 0) =>
  deployment(sampleTenant(spec), index, { ...facts, ...other });

function podOf(spec: CopilotTenantSpecInput = {}, other: Partial<DeploymentFacts> = {}) {
  const pod = build(spec, other).spec?.template.spec;
  const [server] = pod?.containers ?? [];
  if (pod === undefined || server === undefined) throw new Error('the Deployment has no container');
  return { pod, server };
}

const environmentOf = (spec: CopilotTenantSpecInput) => podOf(spec).server.env ?? [];

describe('the Deployment of a server', () => {
  it('never has two pods at once on its volume', () => {
    expect(build().spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } });
  });

  it('has no pod while it is not meant to run, and is the same otherwise', () => {
    const stopped = build({}, { running: false });
    expect(stopped.spec?.replicas).toBe(0);
    expect(stopped.spec?.template).toEqual(build().spec?.template);
  });

  it('mounts the volume of its own server', () => {
    const volumes = build({}, {}, 2).spec?.template.spec?.volumes;
    expect(volumes).toContainEqual({ name: 'sessions', persistentVolumeClaim: { claimName: 'acme-2' } });
  });

  it('tells what image was chosen, and when it was restarted, to whoever reads it back', () => {
    const restart = { at: '2026-01-02T03:04:05Z', attempt: 3 };
    const live = build({}, { restart });
    expect(restartOf(live)).toEqual(restart);
    expect(imageOf(live)).toBe('example.com/copilot:1');
    expect(restartOf(build())).toBeUndefined();
  });

  it('is replaced by another credential, another restart, another image, and by nothing else that happens to it', () => {
    const template = JSON.stringify(build().spec?.template);
    const changed = [
      build({}, { credentialsHash: 'other' }),
      build({}, { image: 'example.com/copilot:2' }),
      build({}, { restart: { at: '2026-01-02T03:04:05Z', attempt: 1 } }),
    ];
    for (const other of changed) expect(JSON.stringify(other.spec?.template)).not.toBe(template);
    const unchanged = [
      build({ replicas: 3 }),
      build({ storage: { size: '5Gi' } }),
      build({ health: { interval: '1m' } }),
    ];
    for (const other of unchanged) expect(JSON.stringify(other.spec?.template)).toBe(template);
  });
});

describe('the pod of a server', () => {
  // The rules of Pod Security "restricted", as the cluster's admission checks them; the end-to-end tests have it checked.
  it('passes Pod Security restricted', () => {
    const { pod, server } = podOf();
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.securityContext?.runAsUser).toBeGreaterThan(0);
    expect(server.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    for (const volume of pod.volumes ?? []) {
      expect(Object.keys(volume).toSorted()).toEqual(
        ['name', volume.emptyDir ? 'emptyDir' : 'persistentVolumeClaim'].toSorted(),
      );
    }
    for (const field of ['hostNetwork', 'hostPID', 'hostIPC', 'initContainers', 'ephemeralContainers'] as const) {
      expect(pod[field]).toBeUndefined();
    }
    for (const { hostPort } of server.ports ?? []) expect(hostPort).toBeUndefined();
  });

  it('has no way to the API server: no token, by its own account', () => {
    expect(podOf().pod).toMatchObject({ automountServiceAccountToken: false, serviceAccountName: 'acme-servers' });
  });

  it('is never killed by a probe: whether the server answers is for the pings to say', () => {
    const { server } = podOf();
    expect(server.livenessProbe).toBeUndefined();
    expect(server.readinessProbe?.tcpSocket?.port).toBe(4321);
    expect(server.startupProbe?.tcpSocket?.port).toBe(4321);
  });

  it("has a place of its own between home and volume: otherwise root makes it and the CLI can't write there", () => {
    const paths = podOf().server.volumeMounts?.map(({ name, mountPath }) => `${name} ${mountPath}`);
    expect(paths).toEqual([
      'home /home/copilot',
      'copilot-home /home/copilot/.copilot',
      'sessions /home/copilot/.copilot/session-state',
      'workspace /workspace',
      'tmp /tmp',
    ]);
  });

  it.each([
    ['cli', 'copilot'],
    ['runtime', 'copilot-runtime'],
  ] as const)('runs the program of binary %s itself', (binary, program) => {
    expect(podOf({ server: { binary } }).server.command).toEqual([program]);
  });

  it.each([
    ['30m', '1800'],
    ['1h30m', '5400'],
    ['0s', '0'],
  ])('unloads sessions after %s', (idleUnload, seconds) => {
    const args = podOf({ server: { idleUnload } }).server.args ?? [];
    expect(args[args.indexOf('--session-idle-timeout') + 1]).toBe(seconds);
  });

  it('hands on where it may run, and what it may use', () => {
    const server = {
      nodeSelector: { pool: 'agents' },
      tolerations: [{ key: 'agents', operator: 'Exists' as const }],
      affinity: { nodeAffinity: {} },
      runtimeClassName: 'gvisor',
      priorityClassName: 'low',
      imagePullSecrets: [{ name: 'registry' }],
    };
    const resources = { limits: { cpu: 2, memory: '4Gi' } };
    const built = podOf({ server: { ...server, resources, workspace: { size: '10Gi' } } });
    expect(built.pod).toMatchObject(server);
    expect(built.server.resources).toEqual({ limits: { cpu: '2', memory: '4Gi' } });
    expect(built.pod.volumes).toContainEqual({ name: 'workspace', emptyDir: { sizeLimit: '10Gi' } });
  });

  it('takes its connection token, and a GitHub token, from Secrets; no value of one stands in it', () => {
    expect(environmentOf({ model: { github: { tokenSecretRef: { name: 'github', key: 'pat' } } } })).toEqual(
      expect.arrayContaining([
        {
          name: 'COPILOT_CONNECTION_TOKEN',
          valueFrom: { secretKeyRef: { name: 'acme-token', key: 'token' } },
        },
        { name: 'COPILOT_GITHUB_TOKEN', valueFrom: { secretKeyRef: { name: 'github', key: 'pat' } } },
      ]),
    );
  });

  it('knows nothing of a provider: its key would lie open to the agent and do nothing', () => {
    const provider = {
      baseUrl: 'https://models.example.com/v1',
      model: 'large',
      apiKeySecretRef: { name: 'provider', key: 'api-key' },
    };
    expect(environmentOf({ model: { provider } })).toEqual(environmentOf({}));
  });
});
