// Which manifests of sessions the API server accepts: there is no webhook, so this works while the operator is down.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { copilotSessionCrd } from '../../../src/api/crd.ts';
import { sessionSpec } from '../../../src/api/session.ts';
import { waitFor } from '../../support/wait.ts';
import { startTenantApi, type TenantApi } from '../../support/tenant-api.ts';

// Each test starts programs, on a machine that other tests keep busy.
jest.setTimeout(60_000);

let api: TenantApi;
beforeAll(async () => {
  api = await startTenantApi();
}, 90_000);
afterAll(() => api.stop());

const manifest = (name: string, spec: object) => ({
  apiVersion: 'copilot-operator.dev/v1alpha1',
  kind: 'CopilotSession',
  metadata: { name, namespace: 'default' },
  spec: { tenantRef: { name: 'acme' }, ...spec },
});

/** The output of kubectl for a manifest that is refused; throws when it is accepted. */
async function refusal(name: string, spec: object): Promise<string> {
  const { code, stdout, stderr } = await api.kubectl.try(
    ['create', '--dry-run=server', '-f', '-'],
    manifest(name, spec),
  );
  if (code === 0) throw new Error(`was accepted: ${stdout}`);
  return stderr;
}

const accepted = async (name: string, spec: object) =>
  JSON.parse(await api.kubectl.ok(['create', '--dry-run=server', '-o', 'json', '-f', '-'], manifest(name, spec))) as {
    spec: unknown;
  };

describe('a manifest is refused with the field and the reason', () => {
  const outOfRange = 'spec.ttl must be from 1m to 87600h';
  it.each<[string, object, string]>([
    ['an id with a dot', { sessionId: 'a.b' }, 'spec.sessionId in body should match'],
    ['an id with a slash', { sessionId: '../acme' }, 'spec.sessionId in body should match'],
    ['an id with a space', { sessionId: 'a b' }, 'spec.sessionId in body should match'],
    ['an id with a line break', { sessionId: 'a\n' }, 'spec.sessionId in body should match'],
    ['an id of other letters', { sessionId: 'größe' }, 'spec.sessionId in body should match'],
    ['an empty id', { sessionId: '' }, 'spec.sessionId in body should be at least 1 chars long'],
    ['an id of 255 characters', { sessionId: 'a'.repeat(255) }, 'spec.sessionId: Too long: may not be more than 200'],
    ['a ttl of 0', { ttl: '0s' }, outOfRange],
    ['a negative ttl', { ttl: '-1h' }, outOfRange],
    ['a ttl of a century', { ttl: '876000h' }, outOfRange],
    ['a ttl of no duration', { ttl: 'long' }, outOfRange],
    ['a ttl that is a number', { ttl: 60 }, 'spec.ttl in body must be of type string: "integer"'],
    ['an owner with a space', { owner: 'ann lee' }, 'spec.owner in body should match'],
    ['a participant with a comma', { participants: ['ann,bob'] }, 'spec.participants[0] in body should match'],
    [
      'more participants than can be stored',
      { participants: Array.from({ length: 61 }, (_, n) => `user-${n}`) },
      'spec.participants: Too many: 61: must have at most 60 items',
    ],
    ['the same participant twice', { participants: ['ann', 'ann'] }, 'spec.participants[1]: Duplicate value: "ann"'],
    ['another lifecycle', { lifecycle: 'Forever' }, 'spec.lifecycle: Unsupported value: "Forever"'],
    ['another policy', { deletionPolicy: 'Orphan' }, 'spec.deletionPolicy: Unsupported value: "Orphan"'],
    ['no tenant', { tenantRef: {} }, 'spec.tenantRef.name: Required value'],
    ['a tenant of another namespace', { tenantRef: { name: 'acme', namespace: 'x' } }, 'spec.tenantRef.namespace'],
    ['an unknown field', { provider: 'own' }, 'unknown field "spec.provider"'],
    ['an empty model', { model: '' }, 'spec.model in body should be at least 1 chars long'],
    ['a model with a space', { model: 'a b' }, 'spec.model in body should match'],
    [
      'a threshold of all of the context',
      { infiniteSessions: { bufferExhaustionThreshold: 100 } },
      'spec.infiniteSessions.bufferExhaustionThreshold in body should be less than or equal to 99',
    ],
    [
      'a threshold as a share',
      { infiniteSessions: { backgroundCompactionThreshold: 0.8 } },
      'spec.infiniteSessions.backgroundCompactionThreshold in body should be greater than or equal to 1',
    ],
    [
      'a compaction that begins after it must have ended',
      { infiniteSessions: { bufferExhaustionThreshold: 70 } },
      'spec.infiniteSessions.backgroundCompactionThreshold (default 80) must not be greater than bufferExhaustionThreshold (default 95)',
    ],
  ])('%s', async (_case, spec, message) => {
    expect(await refusal('alpha', spec)).toContain(message);
  });

  it('a name that is no id, without an id', async () => {
    expect(await refusal('alpha.beta', {})).toContain(
      'metadata.name is the session id when spec.sessionId is not set, and an id must not contain a dot: set spec.sessionId, or choose another name',
    );
  });

  it('a name that is too long for an id, without an id', async () => {
    expect(await refusal('a'.repeat(201), {})).toContain(
      'metadata.name is the session id when spec.sessionId is not set, and an id must be at most 200 characters long: set spec.sessionId, or choose a shorter name',
    );
  });
});

describe('what is just inside the bounds is accepted', () => {
  it.each<[string, string, object]>([
    ['the longest id', 'alpha', { sessionId: `A_-${'9'.repeat(197)}` }],
    ['the longest name that is an id', 'a'.repeat(200), {}],
    ['the longest name beside an id', 'a'.repeat(253), { sessionId: 'alpha' }],
    ['a name with a dot beside an id', 'alpha.beta', { sessionId: 'alpha' }],
    ['the shortest ttl', 'alpha', { ttl: '1m' }],
    ['the longest ttl', 'alpha', { ttl: '87600h' }],
    [
      'as many participants as can be stored',
      'alpha',
      { participants: Array.from({ length: 60 }, (_, n) => `${n}`.padStart(256, 'x')) },
    ],
    ['users as mail addresses', 'alpha', { owner: 'ann@example.com', participants: ['bob@example.com'] }],
    ['a model with a provider in its name', 'alpha', { model: 'openai/gpt-5:latest' }],
    [
      'both thresholds of the compaction',
      'alpha',
      { infiniteSessions: { backgroundCompactionThreshold: 1, bufferExhaustionThreshold: 99 } },
    ],
    ['no compaction', 'alpha', { infiniteSessions: { enabled: false } }],
  ])('%s', async (_case, name, spec) => {
    await accepted(name, spec);
  });

  it('and the defaults are those of the schema in the operator', async () => {
    const { spec } = await accepted('alpha', {});
    expect(spec).toEqual({ tenantRef: { name: 'acme' }, lifecycle: 'Persistent', deletionPolicy: 'Delete' });
    expect(spec).toEqual(sessionSpec.parse({ tenantRef: { name: 'acme' } }));
  });
});

describe('a change is refused', () => {
  const created = { sessionId: 'one', owner: 'ann' };
  beforeAll(async () => {
    await api.kubectl.ok(['create', '-f', '-'], manifest('changing', created));
    await api.kubectl.ok(['create', '-f', '-'], manifest('plain', {}));
  });
  const change = (name: string, spec: object) =>
    api.kubectl.try(['patch', `csn/${name}`, '--dry-run=server', '--type=merge', '-p', JSON.stringify({ spec })]);

  it.each<[string, string, object, string]>([
    ['of the tenant', 'changing', { tenantRef: { name: 'other' } }, 'spec.tenantRef is immutable'],
    ['of the id', 'changing', { sessionId: 'two' }, 'spec.sessionId is immutable'],
    ['to no id', 'changing', { sessionId: null }, 'spec.sessionId is immutable'],
    ['from no id', 'plain', { sessionId: 'two' }, 'spec.sessionId is immutable'],
    ['of the owner', 'changing', { owner: 'eve' }, 'spec.owner is immutable'],
    ['from no owner', 'plain', { owner: 'eve' }, 'spec.owner is immutable'],
  ])('%s', async (_case, name, spec, message) => {
    const { code, stderr } = await change(name, spec);
    expect(stderr).toContain(message);
    expect(code).not.toBe(0);
  });

  it.each<[string, object]>([
    ['of the participants', { participants: ['bob'] }],
    ['of the ttl', { ttl: '2h' }],
    ['of the lifecycle', { lifecycle: 'Ephemeral' }],
    ['of the policy', { deletionPolicy: 'Retain' }],
    ['of the model', { model: 'large' }],
    ['of the compaction', { infiniteSessions: { enabled: false } }],
  ])('but not one %s', async (_case, spec) => {
    expect(await change('changing', spec)).toMatchObject({ code: 0 });
  });

  it('but not one of a resource from before the limit of its name, so that its finalizer can be removed', async () => {
    const name = 'b'.repeat(201);
    const [crd, former] = [copilotSessionCrd(), copilotSessionCrd()];
    const root = former.spec.versions[0]?.schema.openAPIV3Schema;
    if (root === undefined) throw new Error('the CRD has no version');
    root['x-kubernetes-validations'] = root['x-kubernetes-validations']?.filter((rule) => !rule.optionalOldSelf) ?? [];
    const apply = (object: object) =>
      api.kubectl.ok(['apply', '--server-side', '--force-conflicts', '-f', '-'], object);
    await apply(former);
    await waitFor('the name is taken', () => accepted(name, {}));
    await api.kubectl.ok(['create', '-f', '-'], manifest(name, {}));
    await apply(crd);
    await waitFor('such a name is refused', () => refusal(`${name}b`, {}));
    expect(await change(name, { ttl: '2h' })).toMatchObject({ code: 0 });
  });
});
