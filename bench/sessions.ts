// N CopilotSessions of one tenant applied at once, until every status is observed, against the floor: the same writes sent over the
// same pooled transport without any decision.
import { API_VERSION, COPILOT_SESSION, SERVER_PORT, SESSION_DATA_FINALIZER } from '../src/api/names.ts';
import type { KubeClient } from '../src/kube/client/client.ts';
import { isConditionTrue } from '../src/kube/write/conditions.ts';
import { addFinalizer } from '../src/kube/write/finalizer.ts';
import { CopilotSession } from '../src/resources/session.ts';
import { auditMark, isWrite } from '../test/support/audit.ts';
import { connect, inParallel, kwokNodes, namespace, until } from './lib/cluster.ts';
import { applyTenants, prepareVolumes, Tenant, tenantName, WIDTH } from './lib/fleet.ts';
import { operatorRequestsSince, startOperator } from './lib/operator.ts';
import { startResponder } from './lib/responder.ts';
import { against, type BenchResult } from './lib/result.ts';
import { median } from './lib/statistics.ts';

const SESSIONS = 500;
const ROUNDS = 3;
const LIMIT = 1.6;
const OPTIONS = { fieldManager: 'bench', force: true };

interface Round {
  seconds: number;
  /** Of the operator, a session. */
  writes: number;
  status: CopilotSession['status'];
}

export async function run(): Promise<BenchResult> {
  await using connection = connect();
  const { client } = connection;
  await kwokNodes(client, 1);
  const measured: Round[] = [];
  const floors: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const operator = await operatorRound(client);
    measured.push(operator);
    floors.push(await floorRound(client, operator.status));
  }
  const ratio = median(measured.map(({ seconds }, round) => seconds / (floors[round] ?? Number.NaN)));
  const seconds = median(measured.map((round) => round.seconds));
  const figure = against(`${SESSIONS} sessions observed`, seconds, median(floors), 's', LIMIT);
  return {
    name: 'Sessions',
    about: `${SESSIONS} CopilotSessions of one tenant applied at once until each has its phase; floor: the same applies, one finalizer and one status write each, over ${WIDTH} pooled connections. Median of ${ROUNDS} rounds, ratio pair by pair.`,
    figures: [
      { ...figure, ratio, met: ratio <= LIMIT },
      {
        metric: 'writes of the operator a session',
        value: median(measured.map(({ writes }) => writes)),
        unit: 'requests',
      },
    ],
  };
}

async function operatorRound(client: KubeClient): Promise<Round> {
  await using space = await namespace(client, 'bench-sessions');
  await using _volumes = await prepareVolumes(client, space.name, 1);
  await using _responder = await startResponder({ port: SERVER_PORT });
  await using operator = startOperator();
  await operator.ready();
  await applyTenants(client, space.name, 1);
  await until('the tenant is ready', 60_000, async () => {
    const { status } = await client.get(Tenant, { namespace: space.name, name: tenantName(0) });
    return isConditionTrue(status?.conditions, 'Ready');
  });
  const mark = auditMark();
  const started = performance.now();
  const observed = allObserved(client, space.name);
  await applySessions(client, space.name);
  await observed;
  const seconds = (performance.now() - started) / 1000;
  const writes = operatorRequestsSince(mark).filter(isWrite).length / SESSIONS;
  const { status } = await client.get(CopilotSession, { namespace: space.name, name: sessionName(0) });
  // While the operator runs, which removes the finalizers.
  const { items } = await client.listAll(CopilotSession, { namespace: space.name });
  await inParallel(items, WIDTH, ({ metadata: { name, uid = '' } }) =>
    client.delete(CopilotSession, { namespace: space.name, name }, { uid }),
  );
  await until('the sessions are gone', 120_000, async () => {
    return (await client.list(CopilotSession, { namespace: space.name, limit: 1 })).items.length === 0;
  });
  return { seconds, writes, status };
}

async function floorRound(client: KubeClient, status: CopilotSession['status']): Promise<number> {
  await using space = await namespace(client, 'bench-floor');
  const started = performance.now();
  const created: CopilotSession[] = [];
  await inParallel([...Array(SESSIONS).keys()], WIDTH, async (index) => {
    const object = await client.apply(CopilotSession, session(space.name, index), OPTIONS);
    const held = await addFinalizer(client, CopilotSession, object, SESSION_DATA_FINALIZER);
    if (held === undefined) throw new Error(`session ${sessionName(index)} is gone`);
    created.push(held);
    const manifest = {
      ...session(space.name, index),
      metadata: { name: sessionName(index), namespace: space.name },
      status,
    };
    await client.apply(CopilotSession, manifest, { ...OPTIONS, subresource: 'status' });
  });
  const seconds = (performance.now() - started) / 1000;
  const contentType = 'application/merge-patch+json';
  await inParallel(created, WIDTH, ({ metadata: { name } }) =>
    client.patch(CopilotSession, { namespace: space.name, name }, { metadata: { finalizers: null } }, { contentType }),
  );
  return seconds;
}

const sessionName = (index: number): string => `s${index}`;

function session(space: string, index: number): CopilotSession {
  return {
    apiVersion: API_VERSION,
    kind: COPILOT_SESSION.kind,
    metadata: { name: sessionName(index), namespace: space },
    spec: { tenantRef: { name: tenantName(0) }, owner: 'alice' },
  } as CopilotSession;
}

async function applySessions(client: KubeClient, space: string): Promise<void> {
  await inParallel([...Array(SESSIONS).keys()], WIDTH, (index) =>
    client.apply(CopilotSession, session(space, index), OPTIONS),
  );
}

/** Resolves when every session reports its phase. */
async function allObserved(client: KubeClient, space: string): Promise<void> {
  const done = new Set<string>();
  const signal = AbortSignal.timeout(300_000);
  for await (const event of client.watch(CopilotSession, {
    namespace: space,
    sendInitialEvents: true,
    allowWatchBookmarks: true,
    resourceVersionMatch: 'NotOlderThan',
    timeoutSeconds: 300,
    signal,
  })) {
    if (event.type === 'BOOKMARK' || event.type === 'ERROR') continue;
    const { metadata, status } = event.object;
    if (status?.phase !== undefined && status.observedGeneration === metadata.generation) done.add(metadata.name);
    if (done.size === SESSIONS) return;
  }
  throw new Error(`only ${done.size} of ${SESSIONS} sessions were observed before the watch ended`);
}
