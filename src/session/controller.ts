/** Wires the session controller: which changes enqueue a session, and what a reconcile works with. */
import { Label } from '../api/names.ts';
import type { SessionSource } from '../servers/survey/sessions.ts';
import type { Job, PersistentVolumeClaim, Pod } from '../kube/types/builtins.ts';
import { controllerManagedBy } from '../kube/runtime/builder.ts';
import type { Controller } from '../kube/runtime/controller.ts';
import type { EventRecorder } from '../kube/runtime/events.ts';
import type { InformerLike } from '../kube/cache/informer.ts';
import type { Manager } from '../kube/runtime/manager.ts';
import { RecentWrites } from '../kube/write/recent-writes.ts';
import type { ReadonlyStore } from '../kube/cache/store.ts';
import { fromKey, keyOf, nameOf, type NamespacedName } from '../kube/types/types.ts';
import { tenantOfServer } from '../resources/names.ts';
import type { CopilotSession } from '../resources/session.ts';
import type { CopilotTenant } from '../resources/tenant.ts';
import { affectsSessions } from './decisions/tenant-change.ts';
import { Expirer } from './removal/expirer.ts';
import { DataFinalizer } from './removal/data-finalizer.ts';
import { BY_ID, BY_TENANT, idKey, sessionIdOf, tenantKeyOf } from '../resources/session-index.ts';
import { removedBy } from './builders/removaljob.ts';
import { RemovalJobs } from './removal/removal-jobs.ts';
import { Labeller } from './labeller.ts';
import type { LockSource } from './locks.ts';
import type { PlaceSource } from './places.ts';
import { SweepRequester } from './removal/sweep-requester.ts';
import { SessionStates } from './session-state.ts';
import { SessionMetrics } from './metrics.ts';
import { SessionReconciler } from './reconciler.ts';
import { DataRemover } from './removal/data-remover.ts';
import { StatusWriter } from './status-writer.ts';
import { StartupGrace } from './startup-grace.ts';
import { SurveyWatches } from './survey-watches.ts';
import type { SessionOperatorFacts } from './model.ts';

export interface SessionControllerOptions {
  readonly manager: Pick<Manager, 'client' | 'clock' | 'random' | 'log' | 'metrics' | 'addController'>;
  /** Created with SESSION_INDEXERS of resources/session-index.ts. */
  readonly sessions: InformerLike<CopilotSession>;
  readonly tenants: InformerLike<CopilotTenant>;
  /** The Jobs that the operator creates: selected by MANAGED_SELECTOR. */
  readonly jobs: InformerLike<Job>;
  /** The pods of these Jobs, likewise. */
  readonly pods: Pick<InformerLike<Pod>, 'store'>;
  /** The volume claims that the operator creates, likewise. */
  readonly claims: Pick<InformerLike<PersistentVolumeClaim>, 'store'>;
  /** The sessions on the tenants' servers. */
  readonly source: SessionSource;
  /** Whose turn it is in sessions of several users; undefined: there is no gateway that says it. */
  readonly locks?: LockSource | undefined;
  /** Where sessions are whose servers share a volume; undefined: likewise. */
  readonly places?: PlaceSource | undefined;
  readonly recorder: Pick<EventRecorder, 'event'>;
  readonly facts: SessionOperatorFacts;
  /** Sessions that are reconciled at the same time. */
  readonly concurrency: number;
}

/** Adds the controller of CopilotSession to the manager. */
export function addSessionController(options: SessionControllerOptions): void {
  const { manager, sessions, tenants, jobs, pods, claims, source, locks, places, recorder, facts } = options;
  const { client, clock, random, metrics } = manager;
  const recent = new RecentWrites(clock);
  recent.follow(sessions);
  const states = new SessionStates();
  const sessionMetrics = new SessionMetrics(metrics.registry, sessions.store);
  const removalJobs = new RemovalJobs({
    client,
    jobs: jobs.store,
    pods: pods.store,
    sessions: sessions.store,
    facts,
    clock,
  });
  const sweepRequester = new SweepRequester({ client, claims: claims.store, jobs: jobs.store, clock });
  const watches = new SurveyWatches(source);
  const remover = new DataRemover({
    source,
    jobs: removalJobs,
    claims: claims.store,
    sweepRequester,
    watches,
    recorder,
    clock,
  });
  const statusWriter = new StatusWriter({ client, recent, states, recorder, clock });
  const reconciler = new SessionReconciler({
    client,
    sessions: sessions.store,
    tenants: tenants.store,
    claims: claims.store,
    recent,
    source,
    watches,
    states,
    startupGrace: new StartupGrace(clock),
    statusWriter,
    expirer: new Expirer({ client, source, recent, states, sweepRequester, recorder, metrics: sessionMetrics, clock }),
    labeller: new Labeller({ source, states, clock }),
    finalizer: new DataFinalizer({
      client,
      jobs: removalJobs,
      claims: claims.store,
      tenants: tenants.store,
      states,
      remover,
      statusWriter,
      recorder,
      metrics: sessionMetrics,
      clock,
    }),
    locks,
    places,
    clock,
    random,
  });
  const controller = controllerManagedBy(manager)
    .withOptions({ concurrency: options.concurrency })
    .for(sessions)
    .watches(jobs, (job) => waitingFor(job, sessions.store))
    .watches(tenants, (tenant) => sessions.store.byIndex(BY_TENANT, keyOf(tenant)).map(nameOf), {
      predicate: affectsSessions,
    })
    // The holder of an id may change when a resource with that id is created or deleted, but not when it is updated.
    .watches(sessions, (session) => sameIdAs(session, sessions.store), { predicate: () => false })
    .complete(reconciler);
  enqueueByServer(controller, sessions, source);
  locks?.onChange((key) => {
    // One that the status says is held may not be any more.
    const held = () => sessions.store.list().filter(({ status }) => status?.lock !== undefined);
    const changed = key === undefined ? held() : sessions.store.byIndex(BY_ID, key);
    for (const session of changed) controller.enqueue(nameOf(session));
  });
  places?.onChange((key) => {
    for (const session of sessions.store.byIndex(BY_ID, key)) controller.enqueue(nameOf(session));
  });
}

/** The deleted sessions of a tenant, for each change of a Job that removes such: all wait for it, or for their turn. */
function waitingFor(job: Job, sessions: ReadonlyStore<CopilotSession>): NamespacedName[] {
  const tenant = job.metadata.labels?.[Label.tenant];
  if (tenant === undefined || removedBy(job).length === 0) return [];
  return sessions
    .byIndex(BY_TENANT, keyOf({ namespace: job.metadata.namespace ?? '', name: tenant }))
    .filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
    .map(nameOf);
}

/** The other resources with the same session id. */
function sameIdAs(session: CopilotSession, sessions: ReadonlyStore<CopilotSession>): NamespacedName[] {
  return sessions
    .byIndex(BY_ID, idKey(tenantKeyOf(session), sessionIdOf(session)))
    .filter(({ metadata }) => metadata.uid !== session.metadata.uid)
    .map(nameOf);
}

/** A change of sessions on a server enqueues those; a server that starts or stops answering, all of its tenant's. */
function enqueueByServer(controller: Controller, sessions: InformerLike<CopilotSession>, source: SessionSource): void {
  const answering = new Set<string>();
  source.onChange((server, ids) => {
    const { namespace, name } = fromKey(server);
    const tenant = keyOf({ namespace, name: tenantOfServer(name) });
    const answers = source.get(server) !== undefined;
    const changed = answers !== answering.has(server);
    if (answers) answering.add(server);
    else answering.delete(server);
    const affected = changed
      ? sessions.store.byIndex(BY_TENANT, tenant)
      : ids.flatMap((id) => sessions.store.byIndex(BY_ID, idKey(tenant, id)));
    for (const session of affected) controller.enqueue(nameOf(session));
  });
}
