import { describe, expect, it } from '@jest/globals';
import type { CopilotTenantSpecInput } from '../../../src/api/tenant.ts';
import type { CopilotTenant } from '../../../src/resources/tenant.ts';
import {
  candidatesOf,
  copiesOf,
  distinctCopies,
  locate,
  placeOf,
  removalTargets,
  serversOf,
  sharedRemovalTargets,
} from '../../../src/session/servers.ts';
import { answerOf, sessionFacts } from '../../support/fake-sessions.ts';
import { serverView } from '../../support/sessions.ts';
import { sampleTenant, SHARED_STORAGE } from '../../support/tenants.ts';

const nowhere = { get: () => undefined, limitations: () => [] };
const runState = (spec: CopilotTenantSpecInput, status: CopilotTenant['status'] = {}, lastServer?: string) =>
  serversOf(sampleTenant(spec, {}, status), nowhere, lastServer).map(
    (server) => `${server.name} ${server.runState}${server.surplus ? ' surplus' : ''}`,
  );
const servers = (...states: ['Failed' | 'Healthy' | 'Stopped', ...never[]][]) =>
  states.map(([state], index) => ({ name: `acme-${index}`, state, restarts: 0 }));

describe('the servers of a session’s tenant', () => {
  it('are looked up under the keys of the survey', () => {
    const keys: string[] = [];
    const source = { get: (key: string) => void keys.push(key), limitations: () => [] };
    serversOf(sampleTenant({ replicas: 2 }), source, undefined);
    expect(keys).toEqual(['team/acme-0', 'team/acme-1']);
  });

  it.each<[string, CopilotTenantSpecInput, CopilotTenant['status'], string[]]>([
    ['are expected by the spec', { replicas: 2 }, {}, ['acme-0 Expected', 'acme-1 Expected']],
    ['count as stopped when they can’t run', {}, { servers: servers(['Failed']) }, ['acme-0 Stopped']],
    [
      'are stopping when the tenant is suspended',
      { suspend: true },
      { observedGeneration: 1, replicas: 1, servers: servers(['Stopped']) },
      ['acme-0 Stopping'],
    ],
    [
      'are stopped when none is left',
      { suspend: true },
      { observedGeneration: 1, replicas: 0, servers: servers(['Stopped']) },
      ['acme-0 Stopped'],
    ],
    [
      'are stopping until the tenant has been reconciled since',
      { suspend: true },
      { observedGeneration: 0, replicas: 0 },
      ['acme-0 Stopping'],
    ],
  ])('%s', (_case, spec, status, expected) => {
    expect(runState(spec, status)).toEqual(expected);
  });

  it('include the one where the session was last seen, although it was scaled down', () => {
    const observed = { observedGeneration: 1, replicas: 1 };
    expect(runState({ replicas: 1 }, observed, 'acme-2')).toEqual(['acme-0 Expected', 'acme-2 Stopped surplus']);
    expect(runState({ replicas: 1 }, { ...observed, replicas: 2 }, 'acme-2')[1]).toBe('acme-2 Stopping surplus');
  });

  it('do not include one of another tenant', () => {
    expect(runState({}, {}, 'other-5')).toEqual(['acme-0 Expected']);
  });
});

describe('a session is found', () => {
  const on = (index: number, lastActivityTime: number, at = 100) =>
    serverView(index, { answer: answerOf(at, sessionFacts('alpha', { lastActivityTime })) });

  const found = (servers: Parameters<typeof copiesOf>[0], lastServer?: string, after?: number) =>
    locate(copiesOf(servers, 'alpha', after), lastServer)?.server.name;

  it('nowhere when no answer has it', () => {
    expect(found([serverView(), serverView(1, { answer: undefined })])).toBeUndefined();
  });

  it('where it was last seen, if it is still there', () => {
    expect(found([on(0, 1), on(1, 2)], 'acme-0')).toBe('acme-0');
  });

  it('where it was used last, if it is elsewhere', () => {
    expect(found([on(0, 1), on(1, 2), serverView(2)], 'acme-2')).toBe('acme-1');
  });

  it('only in answers from after the operator deleted it', () => {
    expect(found([on(0, 1, 100)], undefined, 100)).toBeUndefined();
    expect(found([on(0, 1, 101)], undefined, 100)).toBe('acme-0');
  });

  it('where it is used again after it expired, also when the clock was set back between', () => {
    const expiredAt = 100;
    const seen = (at: number, now: number) => copiesOf([on(0, 1, at)], 'alpha', expiredAt, now).length;
    expect([seen(90, 110), seen(105, 110), seen(50, 60)]).toEqual([0, 1, 1]);
  });

  it('on each server whose answer has it', () => {
    expect(copiesOf([on(0, 1), serverView(1), on(2, 2)], 'alpha').map(({ server }) => server.name)).toEqual([
      'acme-0',
      'acme-2',
    ]);
  });

  it.each<[string, Parameters<typeof copiesOf>[0], string | undefined, string[]]>([
    ['the one server that has it, and no other', [serverView(0), on(1, 1), serverView(2)], 'acme-0', ['acme-1']],
    ['the server where it was last seen, when none has it', [serverView(0), serverView(1)], 'acme-1', ['acme-1']],
    ['all, when it was never seen', [serverView(0), serverView(1)], undefined, ['acme-0', 'acme-1']],
  ])('and removed from %s', (_case, servers, lastServer, expected) => {
    expect(removalTargets(servers, copiesOf(servers, 'alpha'), lastServer).map(({ name }) => name)).toEqual(expected);
  });
});

describe('servers that share a volume', () => {
  const shared = (status: CopilotTenant['status'] = {}, spec: CopilotTenantSpecInput = {}) =>
    sampleTenant({ ...SHARED_STORAGE, replicas: 2, ...spec }, {}, status);
  const views = (...answers: boolean[]) =>
    answers.map((answers_, index) =>
      serverView(index, { answer: answers_ ? answerOf(1, sessionFacts('alpha')) : undefined }),
    );
  const names = (found: readonly { readonly name: string }[]) => found.map(({ name }) => name);

  it('have the volume of the tenant, which Jobs know by one name', () => {
    const found = serversOf(shared(), nowhere, undefined);
    expect(found.map(({ volume }) => volume)).toEqual([
      { claim: 'acme-shared', index: 0 },
      { claim: 'acme-shared', index: 0 },
    ]);
  });

  it('do not count as stopped one by one: no Job works on the volume beside a server', () => {
    const failed = shared({ observedGeneration: 1, replicas: 2, servers: servers(['Failed'], ['Healthy']) });
    expect(serversOf(failed, nowhere, 'acme-2').map(({ runState }) => runState)).toEqual([
      'Expected',
      'Expected',
      'Stopping',
    ]);
    const suspended = shared({ observedGeneration: 1, replicas: 0 }, { suspend: true });
    expect(serversOf(suspended, nowhere, 'acme-2').every(({ runState }) => runState === 'Stopped')).toBe(true);
  });

  it('have one copy of a session, whichever of them list it', () => {
    const copies = copiesOf(views(true, true), 'alpha');
    expect(copies).toHaveLength(2);
    const distinct = (tenant: CopilotTenant, last?: string) =>
      names(distinctCopies(tenant, copies, last).map(({ server }) => server));
    expect(distinct(shared())).toEqual(['acme-0']);
    expect(distinct(shared({ volumeServer: 'acme-1' }))).toEqual(['acme-1']);
    expect(distinct(shared({ volumeServer: 'acme-0' }), 'acme-1')).toEqual(['acme-1']);
    expect(distinct(sampleTenant({ replicas: 2 }))).toEqual(['acme-0', 'acme-1']);
  });

  it('have a session where the gateway says, else where it was last, if the tenant still has that one', () => {
    const silent = views(false, true);
    const gone = [...silent, serverView(2, { surplus: true, answer: undefined })];
    const place = (held?: string, last?: string) => placeOf(shared(), gone, held, last);
    expect(place('acme-1', 'acme-0')).toBe('acme-1');
    expect(place(undefined, 'acme-0')).toBe('acme-0');
    expect(place(undefined, 'acme-2')).toBeUndefined();
    expect(place()).toBeUndefined();
    expect(placeOf(sampleTenant({ replicas: 2 }), silent, 'acme-1', 'acme-0')).toBeUndefined();
  });

  it('are asked about an unknown session once', () => {
    expect(names(candidatesOf(shared(), views(false, true)))).toEqual(['acme-1']);
    expect(names(candidatesOf(shared({ volumeServer: 'acme-1' }), views(true, true)))).toEqual(['acme-1']);
    expect(names(candidatesOf(shared(), views(false, false)))).toEqual(['acme-0']);
    expect(names(candidatesOf(sampleTenant({ replicas: 2 }), views(false, true)))).toEqual(['acme-0', 'acme-1']);
  });

  it('remove a session through one that answers, and otherwise wait for one that may run', () => {
    const copies = copiesOf(views(false, true), 'alpha');
    expect(names(sharedRemovalTargets(shared(), views(false, true), copies))).toEqual(['acme-1']);
    expect(names(sharedRemovalTargets(shared(), views(false, true), []))).toEqual(['acme-1']);
    const silent = [serverView(0, { answer: undefined, runState: 'Stopped' }), serverView(1, { answer: undefined })];
    expect(names(sharedRemovalTargets(shared(), silent, []))).toEqual(['acme-1']);
    const stopped = silent.map((view) => ({ ...view, runState: 'Stopped' as const }));
    expect(names(sharedRemovalTargets(shared(), stopped, []))).toEqual(['acme-0']);
  });
});
