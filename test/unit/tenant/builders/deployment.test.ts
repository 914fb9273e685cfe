import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../../src/api/tenant.ts';
import type { Deployment } from '../../../../src/kube/types/builtins.ts';
import { deployment, type DeploymentFacts } from '../../../../src/tenant/builders/deployment.ts';
import { persistentVolumeClaim } from '../../../../src/tenant/builders/persistentvolumeclaim.ts';
import { tokenSecret } from '../../../../src/tenant/builders/tokensecret.ts';
import { restrictedViolations } from '../../../support/pod-security.ts';
import { sampleTenant, TOKEN } from '../../../support/tenants.ts';
import { defaultImageOf, restartOf } from '../../../../src/tenant/deployments.ts';

const DEFAULT = { image: 'example.com/copilot-cli:1', isDefault: true };
const FACTS: DeploymentFacts = { image: DEFAULT, running: true, credentialsHash: 'hash' };

function render(spec: CopilotTenantSpecInput = {}, facts: Partial<DeploymentFacts> = {}, index = 0): Deployment {
  return deployment(sampleTenant(spec), index, { ...FACTS, ...facts });
}

const templateOf = (...args: Parameters<typeof render>) => render(...args).spec?.template;

function podOf(spec: CopilotTenantSpecInput = {}, index = 0) {
  const pod = templateOf(spec, {}, index)?.spec;
  const container = pod?.containers[0];
  if (pod === undefined || container === undefined) throw new Error('the Deployment has no container');
  return { pod, container };
}

const GITHUB = { model: { github: { tokenSecretRef: { name: 'model', key: 'gh' } } } };
const PROVIDER = {
  model: {
    provider: { baseUrl: 'https://models.example.com/v1', model: 'large', apiKeySecretRef: { name: 'model' } },
  },
};
const RESTART = { at: '2026-01-02T03:04:05Z', attempt: 3 };

describe('Deployment of a server', () => {
  it('starts no second pod before the first has stopped', () => {
    expect(render().spec?.strategy).toEqual({ type: 'Recreate' });
  });

  it.each([
    ['has one replica while the server should run', true, 1],
    ['has no replica while it should not', false, 0],
  ])('%s', (_, running, replicas) => {
    expect(render({}, { running }).spec?.replicas).toBe(replicas);
  });

  it('selects its own pod and never that of another server', () => {
    const selector = render().spec?.selector.matchLabels ?? {};
    expect(templateOf()?.metadata?.labels).toMatchObject(selector);
    expect(templateOf({}, {}, 1)?.metadata?.labels).not.toMatchObject(selector);
  });

  it('never changes its selector: it is immutable, and another one would orphan every pod', () => {
    expect(render().spec?.selector).toEqual({
      matchLabels: {
        'app.kubernetes.io/component': 'server',
        'copilot-operator.dev/server': 'acme-0',
        'copilot-operator.dev/tenant': 'acme',
      },
    });
  });

  it.each([
    ['another credential', { credentialsHash: 'other' }],
    ['another image', { image: { image: 'example.com/copilot-cli:2', isDefault: false } }],
    ['a restart', { restart: RESTART }],
  ] satisfies [string, Partial<DeploymentFacts>][])('replaces its pod for %s', (_, facts) => {
    expect(templateOf({}, facts)).not.toEqual(templateOf());
  });

  it.each([
    ['more servers', { replicas: 3 }],
    ['a larger volume', { storage: { size: '5Gi' } }],
    ['other pings', { health: { interval: '1m' } }],
    ['another network policy', { network: { policy: 'Open' } }],
  ] satisfies [string, CopilotTenantSpecInput][])('keeps its pod for %s', (_, spec) => {
    expect(templateOf(spec)).toEqual(templateOf());
  });
});

describe('permissions of the pod', () => {
  it.each([
    ['an empty spec', {}],
    ['a GitHub token', GITHUB],
    ['a provider', PROVIDER],
    ['the light runtime', { server: { binary: 'runtime' } }],
  ] satisfies [string, CopilotTenantSpecInput][])(
    'a namespace that enforces "restricted" admits it with %s',
    (_, spec) => {
      expect(restrictedViolations(podOf(spec).pod)).toEqual([]);
    },
  );

  it('it has no token to the API server', () => {
    expect(podOf().pod.automountServiceAccountToken).toBe(false);
  });

  it('it can write to nothing but its volumes', () => {
    expect(podOf().container.securityContext?.readOnlyRootFilesystem).toBe(true);
  });

  it('it has no environment variables of the other Services of the namespace', () => {
    expect(podOf().pod.enableServiceLinks).toBe(false);
  });

  it('its volumes belong to the group that it runs as', () => {
    const { securityContext } = podOf().pod;
    expect(securityContext?.fsGroup).toBe(securityContext?.runAsGroup);
  });
});

describe('the volumes of the pod', () => {
  const { pod, container } = podOf({ server: { workspace: { size: '7Gi' } } }, 2);
  const volumeAt = (path: string) => {
    const mount = container.volumeMounts?.find(({ mountPath }) => mountPath === path);
    return pod.volumes?.find(({ name }) => name === mount?.name);
  };
  const valueOf = (name: string) => container.env?.find((variable) => variable.name === name)?.value ?? '';

  it('sessions are on the volume of the server', () => {
    const { name } = persistentVolumeClaim(sampleTenant(), 2).metadata;
    expect(volumeAt(`${valueOf('COPILOT_HOME')}/session-state`)).toMatchObject({
      persistentVolumeClaim: { claimName: name },
    });
  });

  it('nothing else is: write-ahead logs of the CLI must not be on a network volume', () => {
    const mounts = container.volumeMounts?.filter((mount) => volumeAt(mount.mountPath)?.persistentVolumeClaim);
    expect(mounts?.map(({ mountPath }) => mountPath)).toEqual([`${valueOf('COPILOT_HOME')}/session-state`]);
  });

  it.each(['HOME', 'COPILOT_HOME'])(
    '%s is a volume of its own: else root makes it, and the CLI cannot write',
    (name) => {
      expect(volumeAt(valueOf(name))).toMatchObject({ emptyDir: {} });
    },
  );

  it('COPILOT_HOME is in HOME, where commands of the agent expect it', () => {
    expect(valueOf('COPILOT_HOME')).toBe(`${valueOf('HOME')}/.copilot`);
  });

  it('the workspace is the working directory, with the size in the spec', () => {
    expect(volumeAt(container.workingDir ?? '')).toMatchObject({ emptyDir: { sizeLimit: '7Gi' } });
  });

  it('there is a volume for temporary files', () => {
    expect(volumeAt('/tmp')).toMatchObject({ emptyDir: {} });
  });

  it('no scratch volume can fill the disk of the node', () => {
    expect(pod.volumes?.filter(({ emptyDir }) => emptyDir && emptyDir.sizeLimit === undefined)).toEqual([]);
  });
});

describe('credentials of the pod', () => {
  const envOf = (spec: CopilotTenantSpecInput = {}) =>
    Object.fromEntries((podOf(spec).container.env ?? []).map(({ name, ...source }) => [name, source]));

  it('the connection token comes from its Secret', () => {
    const { name } = tokenSecret(sampleTenant(), TOKEN).metadata;
    expect(envOf()['COPILOT_CONNECTION_TOKEN']).toEqual({ valueFrom: { secretKeyRef: { name, key: 'token' } } });
  });

  it('the GitHub token comes from the Secret of the spec', () => {
    expect(envOf(GITHUB)['COPILOT_GITHUB_TOKEN']).toEqual({
      valueFrom: { secretKeyRef: { name: 'model', key: 'gh' } },
    });
  });

  it('without a GitHub token in the spec there is none', () => {
    expect(envOf()).not.toHaveProperty('COPILOT_GITHUB_TOKEN');
  });

  it('the key of a provider is not in the pod, where the agent could read it', () => {
    expect(podOf(PROVIDER)).toEqual(podOf());
  });
});

describe('program of the pod', () => {
  it.each([
    ['cli', 'copilot'],
    ['runtime', 'copilot-runtime'],
  ] as const)('%s runs the platform binary %s itself, which obeys SIGTERM', (binary, program) => {
    expect(podOf({ server: { binary } }).container.command).toEqual([program]);
  });

  it.each([
    ['30m', '1800'],
    ['1h30m', '5400'],
    ['0s', '0'],
  ])('idleUnload %s is passed in seconds', (idleUnload, seconds) => {
    const { args = [] } = podOf({ server: { idleUnload } }).container;
    expect(args[args.indexOf('--session-idle-timeout') + 1]).toBe(seconds);
  });

  it('it never updates itself: the version is that of the image', () => {
    expect(podOf().container.args).toContain('--no-auto-update');
  });

  it('it has no liveness probe: the pinger checks whether it responds', () => {
    expect(podOf().container).not.toHaveProperty('livenessProbe');
  });

  it('the last output of a crash is kept for the status', () => {
    expect(podOf().container.terminationMessagePolicy).toBe('FallbackToLogsOnError');
  });

  it('resources are those of the spec, as the text that the API server stores', () => {
    const resources = { requests: { cpu: 1 }, limits: { memory: '2Gi' } };
    expect(podOf({ server: { resources } }).container.resources).toEqual({
      requests: { cpu: '1' },
      limits: { memory: '2Gi' },
    });
  });
});

describe('scheduling of the pod', () => {
  const place = {
    nodeSelector: { pool: 'agents' },
    tolerations: [{ key: 'agents', operator: 'Exists' as const, effect: 'NoSchedule' as const }],
    affinity: { nodeAffinity: {} },
    runtimeClassName: 'gvisor',
    priorityClassName: 'low',
    imagePullSecrets: [{ name: 'registry' }],
  };

  it('is that of the spec', () => {
    expect(podOf({ server: place }).pod).toMatchObject(place);
  });

  it.each(Object.keys(place).filter((field) => field !== 'affinity'))(
    '%s is not set when the spec has none',
    (field) => {
      expect(podOf().pod).not.toHaveProperty(field);
    },
  );
});

describe('what a live Deployment records', () => {
  it.each([
    ['the last restart', RESTART, RESTART],
    ['no restart of a server that was never restarted', undefined, undefined],
    ['no restart if its time is invalid', { at: 'yesterday', attempt: 1 }, undefined],
    ['the first attempt if the number is invalid', { ...RESTART, attempt: Number.NaN }, { ...RESTART, attempt: 1 }],
  ])('%s', (_, restart, expected) => {
    expect(restartOf(render({}, { restart }))).toEqual(expected);
  });

  it('the default image that it started with, and not that of a changed container', () => {
    const live = render();
    const [container] = live.spec?.template.spec?.containers ?? [];
    if (container) container.image = 'example.com/other:1';
    expect(defaultImageOf(live)).toBe('example.com/copilot-cli:1');
  });

  it('no default image where the spec has an image', () => {
    const image = { image: 'example.com/copilot-cli:1', isDefault: false };
    expect(defaultImageOf(render({}, { image }))).toBeUndefined();
  });
});
