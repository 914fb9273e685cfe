import { describe, expect, it } from '@jest/globals';
import type { Pod } from '../../../../src/kube/types/builtins.ts';
import { isCreating, waitsForVolume, isUnscheduled, podCause } from '../../../../src/tenant/decisions/pod-cause.ts';
import { container, MINUTE, NOW, pod } from '../fixtures.ts';
import type { EventWarning } from '../../../../src/resources/event-warning.ts';
import type { TenantCause } from '../../../../src/tenant/model.ts';

type Container = Parameters<typeof container>[0];

const causeOf = (subject: Pod, warning?: EventWarning): TenantCause | undefined =>
  podCause(subject, 'acme-0', { warning, now: NOW });
const pending = (status: Container): Pod =>
  pod({ phase: 'Pending', containerStatuses: [container({ ready: false, started: false, ...status })] });
const waiting = (reason: string, message?: string): Pod =>
  pending({ state: { waiting: { reason, ...(message !== undefined && { message }) } } });
const crashed = (end: { exitCode: number; reason?: string; message?: string }): Pod =>
  pod({
    containerStatuses: [
      container({
        ready: false,
        restartCount: 3,
        state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 40s restarting failed container' } },
        lastState: { terminated: end },
      }),
    ],
  });
const unscheduled = (message: string, reason = 'Unschedulable'): Pod => ({
  ...pod({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason, message }] }),
});
const undecided = pod({ phase: 'Pending', conditions: [], containerStatuses: [] });

const noNode = '0/3 nodes are available: 3 Insufficient memory.';
const unbound = '0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.';
const noClass = 'storageclass.storage.k8s.io "fast" not found';

describe('a pod that runs or is starting', () => {
  it.each([
    ['runs', pod()],
    ['pulls its image', waiting('ContainerCreating')],
    ['starts', pod({ containerStatuses: [container({ ready: false, started: false })] })],
    ['has no status yet', { ...pod(), status: undefined } as unknown as Pod],
    ['was not scheduled yet', undecided],
    ['is retried by the scheduler', unscheduled('again', 'SchedulerError')],
    [
      'has recovered from a crash',
      pod({ containerStatuses: [container({ restartCount: 1, lastState: { terminated: { exitCode: 1 } } })] }),
    ],
  ])('has no cause when it %s', (_, fine) => {
    expect(causeOf(fine)).toBeUndefined();
  });
});

describe('a pod that cannot run', () => {
  it.each([
    [
      'an image that cannot be pulled',
      waiting('ImagePullBackOff', 'Back-off pulling image "example.com/copilot:1": ErrImagePull: not found'),
      'ImagePullFailed',
      'Server acme-0: failed to pull image example.com/copilot:1: not found. Check spec.server.image and spec.server.imagePullSecrets.',
    ],
    [
      'an image with an invalid name',
      waiting('InvalidImageName'),
      'ImagePullFailed',
      'Server acme-0: failed to pull image example.com/copilot:1. Check spec.server.image',
    ],
    [
      'a missing Secret of the container',
      waiting('CreateContainerConfigError', 'secret "acme-token" not found'),
      'ContainerCannotRun',
      'Server acme-0: the container cannot be created (CreateContainerConfigError): secret "acme-token" not found. See kubectl describe pod -l copilot-operator.dev/server=acme-0.',
    ],
    [
      'a program that the image does not have',
      waiting('RunContainerError', 'exec: "copilot": executable file not found'),
      'ContainerCannotRun',
      '(RunContainerError): exec: "copilot": executable file not found.',
    ],
    [
      'a crash, with its code and last line',
      crashed({ exitCode: 3, reason: 'Error', message: 'starting\nno such option: --headles\n\n' }),
      'ContainerCrashed',
      'Server acme-0: the container exited with code 3: no such option: --headles. See kubectl logs deploy/acme-0.',
    ],
    [
      'a crash with no output',
      crashed({ exitCode: 1 }),
      'ContainerCrashed',
      'Server acme-0: the container exited with code 1 with no output. See kubectl logs deploy/acme-0.',
    ],
    [
      'too little memory',
      crashed({ exitCode: 137, reason: 'OOMKilled' }),
      'ContainerCrashed',
      'Server acme-0: the container was killed because it exceeded its memory limit (OOMKilled). Raise spec.server.resources.limits.memory.',
    ],
    [
      'an eviction',
      pod({
        phase: 'Failed',
        reason: 'Evicted',
        message: 'Usage of EmptyDir volume "workspace" exceeds the limit "1Gi".',
        containerStatuses: [container({ ready: false, state: { terminated: { exitCode: 137, reason: 'Error' } } })],
      }),
      'ContainerCrashed',
      'Server acme-0: its pod failed (Evicted): Usage of EmptyDir volume "workspace" exceeds the limit "1Gi". Raise spec.server.workspace.size.',
    ],
    [
      'an eviction whose container ended gracefully',
      pod({
        conditions: [
          {
            type: 'DisruptionTarget',
            status: 'True',
            reason: 'TerminationByKubelet',
            message: 'Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". ',
          },
        ],
        containerStatuses: [container({ ready: false, state: { terminated: { exitCode: 0 } } })],
      }),
      'ContainerCrashed',
      'Server acme-0: its pod failed (Evicted): Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". Raise spec.server.tmp.size.',
    ],
    [
      'a rejection by the node',
      pod({ phase: 'Failed', reason: 'OutOfmemory', message: 'Node has no memory', containerStatuses: [] }),
      'ContainerCrashed',
      'Server acme-0: its pod failed (OutOfmemory): Node has no memory. See kubectl describe pod -l copilot-operator.dev/server=acme-0.',
    ],
    [
      'no node with enough resources',
      unscheduled(noNode),
      'Unschedulable',
      'Server acme-0: the pod cannot be scheduled: 0/3 nodes are available: 3 Insufficient memory. Check spec.server.resources, nodeSelector, tolerations and affinity.',
    ],
    [
      'a volume that is not available',
      unscheduled(unbound),
      'VolumePending',
      `Server acme-0: its volume is not available: ${unbound} Check claim acme-0, its StorageClass and the provisioner.`,
    ],
  ])('is reported with its cause and the remedy: %s', (_, subject, reason, message) => {
    const cause = causeOf(subject);
    expect(cause?.reason).toBe(reason);
    expect(cause?.message).toContain(message);
  });

  it.each([
    [
      'StorageClass fast not found. Create it',
      'StorageClassNotFound',
      unscheduled(unbound),
      { reason: 'ProvisioningFailed', message: noClass },
    ],
    [
      'the cluster has no default StorageClass. Mark one as default',
      'StorageClassNotFound',
      unscheduled(unbound),
      {
        reason: 'FailedBinding',
        message: 'no persistent volumes available for this claim and no storage class is set',
      },
    ],
    [
      'no PersistentVolume matches claim acme-0, and its StorageClass does not provision any. Create a PersistentVolume',
      'VolumePending',
      unscheduled(unbound),
      { reason: 'ExternalProvisioning', message: 'waiting for "kubernetes.io/no-provisioner"' },
    ],
    [
      'its volume is not available: disk quota. Check claim acme-0',
      'VolumePending',
      undecided,
      { reason: 'ProvisioningFailed', message: 'disk quota' },
    ],
    [
      'its volume is not available: node is gone',
      'VolumePending',
      waiting('ContainerCreating'),
      { reason: 'FailedAttachVolume', message: 'node is gone' },
    ],
    [
      'its pod cannot be started (FailedCreatePodSandBox): no IP left',
      'ContainerCannotRun',
      waiting('ContainerCreating'),
      { reason: 'FailedCreatePodSandBox', message: 'no IP left' },
    ],
  ] as const)('is reported with the message of its events: %s', (message, reason, subject, warning) => {
    const cause = causeOf(subject, warning);
    expect(cause?.reason).toBe(reason);
    expect(cause?.message).toContain(message);
  });

  it('is reported at its first crash, before the kubelet counts it', () => {
    const ended = pod({ containerStatuses: [container({ ready: false, state: { terminated: { exitCode: 2 } } })] });
    expect(causeOf(ended)?.message).toContain('exited with code 2');
  });

  it('is reported between two crashes, while its container runs for a moment', () => {
    const status = container({ ready: false, restartCount: 2, lastState: { terminated: { exitCode: 2 } } });
    expect(causeOf(pod({ containerStatuses: [status] }))?.message).toContain('exited with code 2');
  });

  it('has the same message after each attempt to pull, because each change is a write', () => {
    const error = 'failed to pull and unpack image "example.com/copilot:1": not found';
    const tries = [
      waiting('ErrImagePull', error),
      waiting('ImagePullBackOff', `Back-off pulling image "example.com/copilot:1": ErrImagePull: ${error}`),
    ].map((one) => causeOf(one));
    expect(tries[0]).toEqual(tries[1]);
  });

  it('quotes no more than 300 characters of the output of a server', () => {
    const { message } = causeOf(crashed({ exitCode: 1, message: 'x'.repeat(4000) })) ?? {};
    expect(message).toContain(`${'x'.repeat(300)}…`);
    expect(message).not.toContain('x'.repeat(301));
  });
});

describe('a pod with containers of others', () => {
  // The kubelet sorts the statuses by the name of the container.
  const proxy = (status: Container = {}) => container({ name: 'a-proxy', image: 'example.com/proxy:1', ...status });
  const crashLoop = (terminated: { exitCode: number; reason?: string; message?: string }): Container => ({
    ready: false,
    started: false,
    restartCount: 2,
    state: { waiting: { reason: 'CrashLoopBackOff' } },
    lastState: { terminated },
  });
  const beside = (sidecar: Container, own: Container = {}): Pod =>
    pod({
      containerStatuses: [proxy(sidecar), container(own)],
      conditions: [{ type: 'Ready', status: 'False', reason: 'ContainersNotReady' }],
    });
  const init = (status: Container, own: Container = { state: { waiting: { reason: 'PodInitializing' } } }): Pod =>
    pod({
      phase: 'Pending',
      initContainerStatuses: [
        container({ name: 'done', state: { terminated: { exitCode: 0 } } }),
        container({ name: 'vault-agent-init', image: 'localhost/none:1', ready: false, started: false, ...status }),
      ],
      containerStatuses: [container({ ready: false, started: false, ...own })],
    });

  it.each([
    [
      'the missing image of the server beside a running sidecar',
      beside({}, { ready: false, state: { waiting: { reason: 'ErrImagePull', message: 'not found' } } }),
      'ImagePullFailed',
      'failed to pull image example.com/copilot:1: not found',
    ],
    [
      'a crash of the server beside a running sidecar',
      beside({}, crashLoop({ exitCode: 7 })),
      'ContainerCrashed',
      'the container exited with code 7',
    ],
    [
      'a sidecar that exceeds its memory limit, not that of the server',
      beside(crashLoop({ exitCode: 137, reason: 'OOMKilled' })),
      'SidecarFailed',
      'Server acme-0: sidecar a-proxy, which exceeded its own memory limit (OOMKilled). While it does not run, the Service sends no clients to the server. The operator did not add this container: fix the webhook or policy that injects it',
    ],
    [
      'a sidecar that crashes',
      beside(crashLoop({ exitCode: 3, message: 'proxy: no config' })),
      'SidecarFailed',
      'sidecar a-proxy, which exited with code 3: proxy: no config.',
    ],
    [
      'an init container with a missing image',
      init({ state: { waiting: { reason: 'ImagePullBackOff', message: 'not found' } } }),
      'InitContainerFailed',
      'Server acme-0 waits for init container vault-agent-init, which cannot pull image localhost/none:1: not found.',
    ],
    [
      'an init container that crashes',
      init(crashLoop({ exitCode: 1 })),
      'InitContainerFailed',
      'vault-agent-init, which exited with code 1 with no output.',
    ],
    [
      'a native sidecar that crashes beside the running server',
      init(crashLoop({ exitCode: 1 }), { ready: true }),
      'SidecarFailed',
      'sidecar vault-agent-init',
    ],
  ])('is reported by the container that fails: %s', (_, subject, reason, message) => {
    const cause = causeOf(subject);
    expect(cause?.reason).toBe(reason);
    expect(cause?.message).toContain(message);
    if (reason !== 'ContainerCrashed') expect(cause?.message).not.toContain('spec.server.resources');
  });

  it.each([
    [
      'its sidecar was killed once and runs again',
      beside({ restartCount: 1, lastState: { terminated: { exitCode: 137 } } }),
    ],
    ['an init container runs', init({ state: { running: {} } })],
    ['an init container waits for its turn', init({ state: { waiting: { reason: 'PodInitializing' } } })],
  ])('has no cause when %s', (_, subject) => {
    expect(causeOf(subject)).toBeUndefined();
  });
});

describe('a pod that a gate holds back', () => {
  const gated = (createdMsAgo: number): Pod => {
    const conditions = [
      {
        type: 'PodScheduled',
        status: 'False',
        reason: 'SchedulingGated',
        message: 'Scheduling is blocked due to non-empty scheduling gates',
      },
    ];
    const creationTimestamp = new Date(NOW - createdMsAgo).toISOString();
    return {
      ...pod({ phase: 'Pending', conditions, containerStatuses: [] }, { creationTimestamp }),
      spec: { containers: [], schedulingGates: [{ name: 'example.com/hold' }] },
    };
  };
  const unset = (startedMsAgo: number): Pod =>
    pod({
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          reason: 'ReadinessGatesNotReady',
          message: 'corresponding condition of pod readiness gate "example.com/lb" does not exist.',
        },
      ],
      containerStatuses: [container({ state: { running: { startedAt: new Date(NOW - startedMsAgo).toISOString() } } })],
    });

  it.each([
    ['scheduling gate', gated, 'SchedulingGated', 'waits for scheduling gates: example.com/hold.'],
    ['readiness gate', unset, 'ReadinessGateNotReady', 'readiness gate "example.com/lb" does not exist.'],
  ])('is reported after a minute: a %s', (_, held, reason, message) => {
    expect(causeOf(held(MINUTE - 1000))).toBeUndefined();
    expect(causeOf(held(MINUTE))?.reason).toBe(reason);
    expect(causeOf(held(MINUTE))?.message).toContain(message);
  });
});

describe('which events explain more than the status of the pod', () => {
  it.each([
    ['no volume: those of the claim', unscheduled(unbound), [true, false, false]],
    ['no resources: none', unscheduled(noNode), [false, false, false]],
    ['no decision of the scheduler: those of the claim', undecided, [false, true, false]],
    ['volume and sandbox are being set up: those of the pod', waiting('ContainerCreating'), [false, false, true]],
    ['it runs: none', pod(), [false, false, false]],
  ])('%s', (_, subject, expected) => {
    expect([waitsForVolume(subject), isUnscheduled(subject), isCreating(subject)]).toEqual(expected);
  });
});
