import { describe, expect, it } from '@jest/globals';
import { isWrite, parseRecord } from '../../support/audit.ts';
import { grantedRights, usage } from '../../support/rights.ts';

const USER = 'system:serviceaccount:operators:copilot-operator';

/** A line of the log. */
const line = (verb: string, objectRef: object | undefined, more: object = {}) =>
  JSON.stringify({
    stage: 'ResponseComplete',
    verb,
    requestReceivedTimestamp: '2026-01-02T03:04:05.678901Z',
    user: { username: USER },
    objectRef,
    responseStatus: { code: 200 },
    ...more,
  });

const deployments = { apiGroup: 'apps', resource: 'deployments' };
const records = (...lines: string[]) => lines.flatMap((text) => parseRecord(text) ?? []);

describe('a line of the audit log', () => {
  it('has who requested what, when, and the answer', () => {
    const extra = { 'authentication.kubernetes.io/pod-name': ['copilot-operator-x'] };
    const target = { ...deployments, subresource: 'scale', namespace: 'team-a', name: 'acme-0' };
    expect(parseRecord(line('patch', target, { user: { username: USER, extra }, userAgent: 'agent' }))).toEqual({
      at: Date.parse('2026-01-02T03:04:05.678Z'),
      verb: 'patch',
      group: 'apps',
      resource: 'deployments/scale',
      namespace: 'team-a',
      name: 'acme-0',
      user: USER,
      pod: 'copilot-operator-x',
      userAgent: 'agent',
      code: 200,
    });
  });

  it('does not count before the answer, nor when it is for no resource', () => {
    expect(
      records(
        line('get', deployments, { stage: 'RequestReceived' }),
        line('get', { name: 'x' }),
        line('get', undefined),
      ),
    ).toEqual([]);
  });

  it('is a write when it requests a change', () => {
    const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];
    const writes = verbs.filter((verb) => records(line(verb, deployments)).some(isWrite));
    expect(writes).toEqual(['create', 'update', 'patch', 'delete', 'deletecollection']);
  });
});

describe('the permissions of an identity', () => {
  it('are what its rules grant', () => {
    const rules = [
      { apiGroups: ['apps'], resources: ['deployments'], verbs: ['list', 'watch'] },
      { apiGroups: ['copilot-operator.dev'], resources: ['copilottenants/status'], verbs: ['update'] },
    ];
    expect([...grantedRights(rules)]).toEqual([
      'list apps/deployments',
      'watch apps/deployments',
      'update copilot-operator.dev/copilottenants/status',
    ]);
  });

  it('were used by every granted request, and missing for every refused one', () => {
    const { used, refused } = usage(
      records(
        line('get', { resource: 'secrets', name: 'acme-token' }, { responseStatus: { code: 404 } }),
        line('update', { apiGroup: 'copilot-operator.dev', resource: 'copilottenants', subresource: 'status' }),
        line('watch', deployments, { stage: 'ResponseStarted' }),
        line('delete', deployments, { responseStatus: { code: 403 } }),
      ),
    );
    expect([...used]).toEqual([
      'get /secrets',
      'update copilot-operator.dev/copilottenants/status',
      'watch apps/deployments',
    ]);
    expect([...refused]).toEqual(['delete apps/deployments']);
  });
});
