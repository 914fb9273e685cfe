// What Argo CD shows of a tenant and of a session, for every reason that their conditions can have. The tables are
// records over the types of src/api: a reason that is added there and not here does not compile.
import { describe, expect, it } from '@jest/globals';
import type {
  CleanupHealthyReason,
  ConditionType,
  HealthyReason,
  ModelConfiguredReason,
  ReadyReason,
  ReconcilingReason,
  StalledReason,
  StoragePressureReason,
} from '../../../src/api/conditions.ts';
import { API_VERSION, COPILOT_SESSION, COPILOT_TENANT } from '../../../src/api/names.ts';
import type {
  SessionConditionType,
  SessionReadyReason,
  SessionReconcilingReason,
  SessionStalledReason,
} from '../../../src/api/session-conditions.ts';
import type { Condition, ObjectMeta } from '../../../src/kube/types/types.ts';
import { argoHealth } from '../../support/argo-health.ts';

type Health = 'Healthy' | 'Progressing' | 'Degraded' | 'Suspended';
/** Status and reason of conditions, by type. */
type Conditions<Type extends string> = Partial<Record<Type, readonly [status: Condition['status'], reason: string]>>;

const words = (type: string, reason: string) => `${type} says "${reason}", for people: ü`;

function objectOf(
  kind: string,
  byType: Conditions<string>,
  metadata: Partial<ObjectMeta> = {},
  observedGeneration = 2,
) {
  const conditions = Object.entries(byType).map(([type, [status, reason] = ['Unknown', 'None']]) => ({
    type,
    status,
    reason,
    message: words(type, reason),
    lastTransitionTime: '2026-01-02T03:04:05Z',
    observedGeneration,
  }));
  return {
    apiVersion: API_VERSION,
    kind,
    metadata: { name: 'acme', namespace: 'team', generation: 2, ...metadata },
    status: { observedGeneration, conditions },
  };
}

const tenant = (conditions: Conditions<ConditionType> = {}, ...rest: [Partial<ObjectMeta>?, number?]) =>
  objectOf(
    COPILOT_TENANT.kind,
    {
      Ready: ['True', 'ServersReady'],
      Reconciling: ['False', 'UpToDate'],
      Stalled: ['False', 'NotStalled'],
      Healthy: ['True', 'Healthy'],
      ModelConfigured: ['True', 'ClientProvided'],
      CleanupHealthy: ['True', 'NotScheduled'],
      StoragePressure: ['False', 'EnoughSpace'],
      ...conditions,
    } satisfies Conditions<ConditionType>,
    ...rest,
  );

const session = (conditions: Conditions<SessionConditionType> = {}, ...rest: [Partial<ObjectMeta>?, number?]) =>
  objectOf(
    COPILOT_SESSION.kind,
    {
      Ready: ['True', 'SessionIdle'],
      Reconciling: ['False', 'UpToDate'],
      Stalled: ['False', 'NotStalled'],
      ...conditions,
    } satisfies Conditions<SessionConditionType>,
    ...rest,
  );

const table = <Reason extends string>(of: Record<Reason, Health>) => Object.entries(of) as [Reason, Health][];
const no = (reason: string) => ['False', reason] as const;
const yes = (reason: string) => ['True', reason] as const;
const stalled = (reason: string) => ({ Ready: no(reason), Reconciling: no('Blocked'), Stalled: yes(reason) });

describe('a tenant', () => {
  it.each(
    table<ReadyReason>({
      ServersReady: 'Healthy',
      ServersStarting: 'Progressing',
      ServersUpdating: 'Progressing',
      ServersUnhealthy: 'Degraded',
      Suspended: 'Suspended',
      ScaledToZero: 'Suspended',
      Hibernated: 'Healthy',
      WakeFailed: 'Degraded',
      Deleting: 'Progressing',
    }),
  )('whose Ready has the reason %s is %s', async (reason, status) => {
    const ready = reason === 'ServersReady' || reason === 'Hibernated' ? yes(reason) : no(reason);
    expect(await argoHealth(tenant({ Ready: ready }))).toEqual({ status, message: words('Ready', reason) });
  });

  it.each(
    table<ReconcilingReason>({
      UpToDate: 'Healthy',
      RolloutPending: 'Healthy',
      Blocked: 'Degraded',
      ServersStarting: 'Progressing',
      ServersUpdating: 'Progressing',
      Draining: 'Progressing',
      ScalingDown: 'Progressing',
      VolumeResizing: 'Progressing',
      ServersRestarting: 'Progressing',
      Suspending: 'Progressing',
      Hibernating: 'Progressing',
      WaitingForDeletion: 'Progressing',
      Deleting: 'Progressing',
      Paused: 'Suspended',
      RetryingAfterError: 'Progressing',
    }),
  )('that is otherwise Ready and whose Reconciling has the reason %s is %s', async (reason, status) => {
    const isDone = ['UpToDate', 'RolloutPending', 'Blocked', 'Paused'].includes(reason);
    const conditions = reason === 'Blocked' ? stalled('DataLost') : { Reconciling: isDone ? no(reason) : yes(reason) };
    const decides = { Healthy: 'Ready', Degraded: 'Stalled', Progressing: 'Reconciling', Suspended: 'Reconciling' }[
      status
    ];
    const found = await argoHealth(tenant(conditions));
    expect(found.status).toBe(status);
    expect(found.message).toContain(`${decides} says`);
  });

  it('that is paused is Suspended, whatever else is reported and although its spec is newer than its status', async () => {
    const found = await argoHealth(tenant({ ...stalled('DataLost'), Reconciling: no('Paused') }, {}, 1));
    expect(found).toEqual({ status: 'Suspended', message: words('Reconciling', 'Paused') });
  });

  it.each(
    table<StalledReason>({
      NotStalled: 'Healthy',
      ModelNotConfigured: 'Degraded',
      EnvironmentNotUsable: 'Degraded',
      CABundleNotUsable: 'Degraded',
      GatewayNotInstalled: 'Degraded',
      ForeignObject: 'Degraded',
      ImagePullFailed: 'Degraded',
      ContainerCannotRun: 'Degraded',
      ContainerCrashed: 'Degraded',
      InitContainerFailed: 'Degraded',
      SidecarFailed: 'Degraded',
      LookAlikePod: 'Degraded',
      SchedulingGated: 'Degraded',
      ReadinessGateNotReady: 'Degraded',
      NodeLost: 'Degraded',
      ConflictingWriter: 'Degraded',
      DeploymentPaused: 'Degraded',
      Unschedulable: 'Degraded',
      StorageClassNotFound: 'Degraded',
      VolumePending: 'Degraded',
      VolumeNotShared: 'Degraded',
      VolumeNotWritable: 'Degraded',
      VolumeNotExpandable: 'Degraded',
      OperatorImageUnknown: 'Degraded',
      DataLost: 'Degraded',
      QuotaExceeded: 'Degraded',
      ResourcesRequired: 'Degraded',
      LimitRangeViolated: 'Degraded',
      PriorityClassNotFound: 'Degraded',
      RuntimeClassNotFound: 'Degraded',
      ServiceAccountNotFound: 'Degraded',
      PodSecurityViolated: 'Degraded',
      PodCreationFailed: 'Degraded',
      AdmissionDenied: 'Degraded',
      InvalidSpec: 'Degraded',
      Forbidden: 'Degraded',
      NamespaceTerminating: 'Degraded',
    }),
  )('whose Stalled has the reason %s is %s, whatever the other conditions', async (reason, status) => {
    if (reason === 'NotStalled') return expect((await argoHealth(tenant())).status).toBe(status);
    for (const others of [{}, { CleanupHealthy: no('CleanupFailing'), StoragePressure: yes('VolumeFull') }]) {
      const found = await argoHealth(tenant({ ...stalled(reason), ...others }));
      expect(found).toEqual({ status, message: words('Stalled', reason) });
    }
  });

  it.each(
    table<HealthyReason>({
      Healthy: 'Healthy',
      AwaitingPing: 'Progressing',
      Unreachable: 'Degraded',
      AuthFailed: 'Degraded',
      Timeout: 'Degraded',
      ProtocolError: 'Degraded',
      NoServers: 'Suspended',
    }),
  )('whose Healthy has the reason %s is %s', async (reason, status) => {
    const ready = {
      Healthy: yes('ServersReady'),
      Progressing: no('ServersStarting'),
      Degraded: no('ServersUnhealthy'),
      Suspended: no('Suspended'),
    }[status];
    // A restart in progress does not improve it.
    const reconciling = status === 'Degraded' ? yes('ServersRestarting') : no('UpToDate');
    const conditions = { Healthy: no(reason), Ready: ready, Reconciling: reconciling };
    expect(await argoHealth(tenant(conditions))).toEqual({ status, message: words('Ready', ready[1]) });
  });

  it.each(
    table<ModelConfiguredReason>({
      GitHub: 'Healthy',
      Provider: 'Healthy',
      ClientProvided: 'Healthy',
      SecretNotFound: 'Degraded',
      SecretKeyNotFound: 'Degraded',
      SecretValueEmpty: 'Degraded',
      SecretValueInvalid: 'Degraded',
      SecretNotAllowed: 'Degraded',
      SecretForbidden: 'Degraded',
      GatewayRequired: 'Degraded',
    }),
  )('whose ModelConfigured has the reason %s is %s', async (reason, status) => {
    const conditions =
      status === 'Healthy'
        ? { ModelConfigured: yes(reason) }
        : { ModelConfigured: no(reason), ...stalled('ModelNotConfigured') };
    expect((await argoHealth(tenant(conditions))).status).toBe(status);
  });

  it.each(
    table<CleanupHealthyReason>({
      NotScheduled: 'Healthy',
      AwaitingFirstRun: 'Healthy',
      CleanupSucceeded: 'Healthy',
      CleanupRetrying: 'Healthy',
      CleanupFailing: 'Degraded',
      CleanupBlocked: 'Degraded',
      ScheduleNeverComes: 'Degraded',
      ThroughOneServer: 'Healthy',
    }),
  )('whose CleanupHealthy has the reason %s is %s, suspended or not', async (reason, status) => {
    const cleanup = { CleanupHealthy: status === 'Degraded' ? no(reason) : yes(reason) };
    const decides = status === 'Degraded' ? words('CleanupHealthy', reason) : words('Ready', 'ServersReady');
    expect(await argoHealth(tenant(cleanup))).toEqual({ status, message: decides });
    const suspended = await argoHealth(tenant({ ...cleanup, Ready: no('Suspended') }));
    expect(suspended.status).toBe(status === 'Degraded' ? 'Degraded' : 'Suspended');
  });

  it.each(
    table<StoragePressureReason>({
      NotMeasured: 'Healthy',
      EnoughSpace: 'Healthy',
      VolumeNearlyFull: 'Degraded',
      VolumeFull: 'Degraded',
    }),
  )('whose StoragePressure has the reason %s is %s', async (reason, status) => {
    const pressure = status === 'Degraded' ? yes(reason) : no(reason);
    const decides = status === 'Degraded' ? words('StoragePressure', reason) : words('Ready', 'ServersReady');
    expect(await argoHealth(tenant({ StoragePressure: pressure }))).toEqual({ status, message: decides });
  });

  it('whose full volume is being expanded is Progressing', async () => {
    const conditions = { StoragePressure: yes('VolumeFull'), Reconciling: yes('VolumeResizing') };
    expect((await argoHealth(tenant(conditions))).status).toBe('Progressing');
  });
});

describe('a session', () => {
  it.each(
    table<SessionReadyReason>({
      AwaitingFirstTurn: 'Healthy',
      SessionIdle: 'Healthy',
      TurnRunning: 'Healthy',
      TenantSuspended: 'Suspended',
      TenantHibernated: 'Healthy',
      TenantUnavailable: 'Suspended',
      SessionExpired: 'Healthy',
      SessionLost: 'Degraded',
      Deleting: 'Progressing',
    }),
  )('whose Ready has the reason %s is %s', async (reason, status) => {
    const usable = ['AwaitingFirstTurn', 'SessionIdle', 'TurnRunning'].includes(reason);
    const found = await argoHealth(session({ Ready: usable ? yes(reason) : no(reason) }));
    expect(found).toEqual({ status, message: words('Ready', reason) });
  });

  it('whose tenant will run again is Progressing', async () => {
    const conditions = { Ready: no('TenantUnavailable'), Reconciling: yes('WaitingForTenant') };
    const found = await argoHealth(session(conditions));
    expect(found).toEqual({ status: 'Progressing', message: words('Reconciling', 'WaitingForTenant') });
  });

  it.each(
    table<SessionReconcilingReason>({
      UpToDate: 'Healthy',
      Blocked: 'Degraded',
      WaitingForTenant: 'Progressing',
      Expiring: 'Progressing',
      DeletingData: 'Progressing',
    }),
  )('whose Reconciling has the reason %s is %s', async (reason, status) => {
    const isDone = reason === 'UpToDate' || reason === 'Blocked';
    const conditions =
      reason === 'Blocked' ? stalled('TenantNotFound') : { Reconciling: isDone ? no(reason) : yes(reason) };
    expect((await argoHealth(session(conditions))).status).toBe(status);
  });

  it.each(
    table<SessionStalledReason>({
      NotStalled: 'Healthy',
      TenantNotFound: 'Degraded',
      DuplicateSessionId: 'Degraded',
      OwnedByAnother: 'Degraded',
      OnSeveralServers: 'Degraded',
      Forbidden: 'Degraded',
    }),
  )('whose Stalled has the reason %s is %s', async (reason, status) => {
    if (reason === 'NotStalled') return expect((await argoHealth(session())).status).toBe(status);
    const found = await argoHealth(session(stalled(reason)));
    expect(found).toEqual({ status, message: words('Stalled', reason) });
  });
});

describe.each([
  ['tenant', tenant],
  ['session', session],
])('a %s', (kind, make) => {
  it('that was not reconciled yet is Progressing', async () => {
    const { status: _none, ...unseen } = make();
    for (const object of [unseen, { ...unseen, status: {} }, { ...unseen, status: { conditions: [] } }]) {
      const found = await argoHealth(object);
      expect(found).toEqual({ status: 'Progressing', message: 'Waiting for the operator to reconcile it.' });
    }
  });

  it('whose status is that of a previous spec is Progressing, without its message', async () => {
    const found = await argoHealth(make(stalled('Forbidden'), {}, 1));
    expect(found).toEqual({ status: 'Progressing', message: 'Waiting for the operator to reconcile it.' });
  });

  it('that is being deleted is Progressing, whatever its status says', async () => {
    const found = await argoHealth(make(stalled('Forbidden'), { deletionTimestamp: '2026-01-02T03:04:05Z' }));
    expect(found).toEqual({ status: 'Progressing', message: `The ${kind} is being deleted.` });
  });
});
