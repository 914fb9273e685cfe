import { describe, expect, it } from '@jest/globals';
import { grantedRights, unusedRights, usage } from '../../support/audit.ts';

const USER = 'system:serviceaccount:operators:copilot-operator';

const record = (verb: string, objectRef: object | undefined, more: object = {}) =>
  JSON.stringify({
    stage: 'ResponseComplete',
    verb,
    user: { username: USER },
    objectRef,
    responseStatus: { code: 200 },
    ...more,
  });

const deployments = { apiGroup: 'apps', resource: 'deployments' };

describe('the audit log of an identity', () => {
  it('tells which rights it used', () => {
    const { used } = usage(USER, [
      record('get', { resource: 'secrets', name: 'acme-token' }),
      record('update', { apiGroup: 'copilot-operator.dev', resource: 'copilottenants', subresource: 'status' }),
      record('watch', deployments, { stage: 'ResponseStarted' }),
    ]);
    expect([...used]).toEqual([
      'get /secrets',
      'update copilot-operator.dev/copilottenants/status',
      'watch apps/deployments',
    ]);
  });

  it('tells which rights it lacked', () => {
    const denied = record('delete', deployments, { responseStatus: { code: 403 } });
    expect(usage(USER, [denied])).toEqual({ used: new Set(), refused: new Set(['delete apps/deployments']) });
  });

  it('counts neither what others did, nor what has not been answered, nor what is no resource', () => {
    const { used, refused } = usage(USER, [
      record('get', deployments, { user: { username: 'admin' }, userAgent: USER }),
      record('get', deployments, { stage: 'RequestReceived' }),
      record('get', undefined),
    ]);
    expect([...used, ...refused]).toEqual([]);
  });
});

describe('rights that nobody used', () => {
  const rules = [
    { apiGroups: ['apps'], resources: ['deployments'], verbs: ['list', 'watch', 'delete'] },
    { apiGroups: [''], resources: ['events'], verbs: ['list'] },
    { apiGroups: ['copilot-operator.dev'], resources: ['copilottenants/finalizers'], verbs: ['update'] },
  ];

  it('are found, unless no audit log could show their use', () => {
    expect(unusedRights(grantedRights(rules), new Set(['watch apps/deployments']))).toEqual([
      'delete apps/deployments',
      'list /events',
    ]);
  });
});
