import { describe, expect, it } from '@jest/globals';
import { DECIDED_NAMES, isUnknownLogin } from '../../../../src/gateway/login-names.ts';
import { PARAM_TABLES, linesOf } from '../../../../src/gateway/methods/param-lines.ts';
import {
  LOGIN_FIELDS,
  replayedWithoutLogin,
  withGitHubToken,
  withModel,
  withoutLogin,
} from '../../../../src/gateway/relay/injection/injected.ts';

const provider = { type: 'openai', baseUrl: 'https://models.example.com/v1', apiKey: 'sk-tenant' };
const byProvider = { login: { provider }, defaultModel: 'large' };
const byGitHub = { login: { gitHubToken: 'gho_tenant' } };
/** Everything by which a client may bring a login, with an address of its own. */
const own = {
  provider: { baseUrl: 'https://evil.example.com', headers: { 'x-own': '1' } },
  providers: [{ name: 'own', baseUrl: 'https://evil.example.com' }],
  models: [{ id: 'm', provider: 'own' }],
  gitHubToken: 'gho_own',
  gitHubTokenProviderRegistrationId: 'own',
};
const rest = { sessionId: 's', tools: [], streaming: true };

describe('the login of a tenant', () => {
  it.each(['session.create', 'session.resume'])(
    'replaces all that the client states in %s, and nothing else',
    (method) => {
      const model = { model: 'small' };
      expect(withModel(method, { ...rest, ...model, ...own }, byProvider)).toEqual({ ...rest, ...model, provider });
      expect(withModel(method, { ...rest, ...model, ...own }, byGitHub)).toEqual({
        ...rest,
        ...model,
        gitHubToken: 'gho_tenant',
      });
    },
  );

  it.each([undefined, null, ''])('comes with the model of the tenant in a new session that names %j', (model) => {
    expect(withModel('session.create', { ...rest, model }, byProvider)).toMatchObject({ model: 'large' });
    // A session that exists has one.
    expect(withModel('session.resume', { ...rest, model }, byProvider)).toMatchObject({ model });
  });

  it('is the client’s own where the tenant has none', () => {
    expect(withModel('session.create', { ...rest, ...own }, undefined)).toEqual({ ...rest, ...own });
  });

  it('is left as it is by what changes something else', () => {
    expect(withoutLogin({ ...rest, ...own, model: 'next' })).toEqual({ ...rest, model: 'next' });
  });

  it('is all that the table of parameters knows of logins', () => {
    const table = PARAM_TABLES.find(({ methods }) => methods.includes('session.create'));
    const fields = table && linesOf(table).flatMap(([path, , , reason]) => (reason === 'OwnLogin' ? [path] : []));
    expect(fields?.toSorted()).toEqual(LOGIN_FIELDS);
  });

  it('is not told beside what a newer server may take for an address of it', () => {
    const unknown = { providerUrl: 'https://evil.example.com', apiEndpoint: 'x', modelProxy: 'x', ownToken: 'x' };
    const named = { canvasProvider: 'c', hasSkillProvider: true, coauthorEnabled: false };
    expect(withoutLogin({ ...rest, ...unknown, ...named, newer: 1 })).toEqual({ ...rest, ...named, newer: 1 });
    expect(withModel('session.resume', { ...rest, ...unknown }, byGitHub)).toEqual({
      ...rest,
      gitHubToken: 'gho_tenant',
    });
    const update = { method: 'session.options.update', params: { ...rest, ...unknown } };
    expect(replayedWithoutLogin(update)).toEqual({ method: update.method, params: rest });
  });

  it('knows each name like that in the table of parameters', () => {
    const table = PARAM_TABLES.find(({ methods }) => methods.includes('session.create'));
    const names = new Set((table === undefined ? [] : linesOf(table)).map(([path]) => path.split('.', 1)[0] ?? ''));
    expect([...names].filter(isUnknownLogin)).toEqual([]);
    expect([...DECIDED_NAMES].filter((name) => !names.has(name))).toEqual([]);
  });

  it('is not undone by calls that are told again after a restart', () => {
    const update = { method: 'session.options.update', params: { ...rest, ...own } };
    expect(replayedWithoutLogin(update)).toEqual({ method: update.method, params: rest });
    for (const method of ['session.provider.add', 'session.gitHubAuth.setCredentials']) {
      expect(replayedWithoutLogin({ method, params: rest })).toBeUndefined();
    }
  });

  it('is stated to what asks GitHub, if it is one of GitHub', () => {
    expect(withGitHubToken({ gitHubToken: 'gho_own' }, byGitHub)).toEqual({ gitHubToken: 'gho_tenant' });
    expect(withGitHubToken({ gitHubToken: 'gho_own' }, byProvider)).toEqual({ gitHubToken: 'gho_own' });
  });
});
