import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { METHOD_LINES } from '../../../../src/gateway/methods/lines.ts';
import { PARAM_TABLES, linesOf } from '../../../../src/gateway/methods/param-lines.ts';
import { PARAM_REASONS } from '../../../../src/gateway/methods/param-reasons.ts';
import { checkParams } from '../../../../src/gateway/methods/param-rules.ts';
import { paramsOf, sdkSchema, sdkSource, sentParams } from '../../../support/method-schema.ts';

const CREATES = ['session.create', 'session.resume'];

/** Paths that have a line, by method. */
const paths = new Map(
  PARAM_TABLES.flatMap((table) =>
    table.methods.map((method) => [method, linesOf(table).map(([path]) => path)] as const),
  ),
);

describe('the tables of parameters', () => {
  it.each([...paths])('have each parameter of %s once, and what it is in', (_, all) => {
    expect(all.filter((path, index) => all.indexOf(path) !== index)).toEqual([]);
    const outer = all.filter((path) => path.includes('.')).map((path) => path.split('.', 1)[0] ?? '');
    expect(outer.filter((name) => !all.includes(name))).toEqual([]);
  });

  it('are for methods that are not denied', () => {
    const allowed = new Set(METHOD_LINES.filter(([, dedicated]) => dedicated !== 'deny').map(([name]) => name));
    expect([...paths.keys()].filter((method) => !allowed.has(method))).toEqual([]);
  });

  it('use every rule, apart from the ones for parameters without a line and for tenants with a login', () => {
    const used = new Set(PARAM_TABLES.flatMap(linesOf).map(([, , , reason]) => reason));
    expect(Object.keys(PARAM_REASONS).filter((rule) => !used.has(rule as never))).toEqual(['TenantLogin', 'Unknown']);
  });

  it.each(CREATES)('have every parameter that the SDK sends with %s', (method) => {
    const sent = sentParams(sdkSource(), method);
    expect(sent.length).toBeGreaterThan(70);
    expect(sent.filter((name) => paths.get(method)?.includes(name) !== true)).toEqual([]);
  });

  it('have every parameter of the schema that the SDK brings along', () => {
    const missing = [...paths].flatMap(([method, all]) =>
      paramsOf(sdkSchema(), method).filter((name) => !all.includes(name)),
    );
    expect(missing).toEqual([]);
  });
});

describe('the Node SDK 1.0.15-preview.4', () => {
  const fixture = resolve(import.meta.dirname, '../../../fixtures/sdk-methods/node-1.0.15-preview.4.params.tsv');
  const rows = readFileSync(fixture, 'utf8')
    .split('\n')
    .filter((row) => row !== '' && !row.startsWith('#'))
    .map((row) => row.split('\t') as [method: string, name: string]);

  it('sends no parameter that has no line, and its server has none', () => {
    expect(rows.length).toBeGreaterThan(300);
    expect(rows.filter(([method, name]) => paths.get(method)?.includes(name) !== true)).toEqual([]);
  });
});

describe('in a Dedicated tenant', () => {
  const check = (method: string, params: object) => checkParams(method, params, 'Dedicated');
  const rule = (method: string, params: object) => check(method, params)?.reason;

  it.each(CREATES)('all that the SDK sends with %s is allowed, but for what concerns the operator', (method) => {
    const sent = sentParams(sdkSource(), method);
    const refused = sent.filter((name) => check(method, { [name]: 'something' }) !== undefined);
    const ofExtensions = method === 'session.resume' ? ['requestedEnvironmentVariables'] : [];
    expect(refused).toEqual(['configDir', ...ofExtensions]);
  });

  it.each([
    ['session.create', { configDir: '/tmp/x' }, 'SessionPlace'],
    ['sessions.open', { kind: 'create', options: { configDir: '/tmp/x' } }, 'SessionPlace'],
    ['session.options.update', { copilotUrl: 'http://evil.example' }, 'KeyDestination'],
    ['sessions.open', { kind: 'create', options: { copilotUrl: 'http://evil.example' } }, 'KeyDestination'],
    [
      'session.gitHubAuth.setCredentials',
      { credentials: { type: 'user', copilotUser: { endpoints: { api: 'http://evil.example' } } } },
      'KeyDestination',
    ],
    ['session.resume', { requestedEnvironmentVariables: ['COPILOT_CONNECTION_TOKEN'] }, 'Credentials'],
    ['session.create', { authContextId: 'x' }, 'HostProgram'],
    ['session.model.switchTo', { modelId: 'm', pickerPersistence: { settingsContext: {} } }, 'Settings'],
    ['session.mode.set', { mode: 'plan', persistPlanSelection: true }, 'Settings'],
  ])('%s with %j is refused', (method, params, expected) => {
    expect(rule(method, params)).toBe(expected);
  });

  it.each([
    ['session.create', { mcpServers: { a: { type: 'local', command: 'x' } }, workingDirectory: '/work', cloud: {} }],
    ['session.create', { provider: { baseUrl: 'http://model', apiKey: 'k' }, availableTools: ['bash'] }],
    ['session.create', { configDir: null, authContextId: '', hasGitHubToken: false, cachedModels: [] }],
    ['session.create', { ofANewerSDK: true }],
    ['session.send', { prompt: 'configDir', attachments: [{ type: 'file', path: '/etc/hosts' }], requestHeaders: {} }],
    ['session.options.update', { installedPlugins: [], includedBuiltinSkills: [] }],
    ['session.model.switchTo', { modelId: 'm', reasoningEffort: 'high' }],
    ['session.getMessages', { configDir: '/tmp/x' }],
    ['made.up', { configDir: '/tmp/x' }],
  ])('%s with %j is allowed', (method, params) => {
    expect(check(method, params)).toBeUndefined();
  });

  it('a parameter of a newer SDK is allowed, also where the tenant has a login, if its name is of none', () => {
    const params = { ofANewerSDK: true, newUrl: null, newToken: '', newKeys: [] };
    expect(checkParams('session.create', params, 'Dedicated', true)).toBeUndefined();
  });

  it('a refusal names the parameter, the rule and the remedy, and not the value', () => {
    const parsed = JSON.parse('{"sessionId":"s","configDir":"/secret"}') as object;
    expect(check('session.create', parsed)).toEqual({
      reason: 'SessionPlace',
      parameter: 'configDir',
      message: `"configDir" of session.create is refused by the rule SessionPlace: ${PARAM_REASONS.SessionPlace}; leave it out`,
    });
  });

  it('nothing is found in a prototype', () => {
    const params = Object.create({ configDir: '/tmp/x' }) as object;
    expect(check('session.create', params)).toBeUndefined();
    expect(check('session.create', JSON.parse('{"__proto__":{"configDir":"/x"}}') as object)).toBeUndefined();
  });
});

describe('in a Shared tenant', () => {
  const rule = (method: string, params: object) => checkParams(method, params, 'Shared')?.reason;

  it.each([
    ['session.create', { configDir: '/tmp/x' }, 'SessionPlace'],
    ['session.create', { mcpServers: { a: { type: 'local', command: 'x' } } }, 'AgentRights'],
    ['session.create', { workingDirectory: '/etc' }, 'AgentRights'],
    ['session.create', { availableTools: ['bash'] }, 'AgentTools'],
    ['session.create', { availableTools: ['custom:*', 'builtin:bash'] }, 'AgentTools'],
    ['session.create', { availableTools: ['*'] }, 'AgentTools'],
    ['session.create', { availableTools: 'custom:*' }, 'AgentTools'],
    ['session.create', { availableTools: ['ask_user'] }, 'AgentTools'],
    ['session.create', { skipCustomInstructions: false }, 'AgentTools'],
    ['session.options.update', { customAgentsLocalOnly: false }, 'AgentTools'],
    ['session.options.update', { availableTools: ['builtin:*'] }, 'AgentTools'],
    ['session.options.update', { availableTools: null }, 'AgentTools'],
    ['session.options.update', { availableTools: false }, 'AgentTools'],
    ['session.options.update', { installedPlugins: null }, 'AgentTools'],
    ['session.create', { availableTools: '' }, 'AgentTools'],
    ['session.create', { enableManagedSettings: true }, 'AgentRights'],
    ['session.resume', { memory: {} }, 'AgentTools'],
    ['session.delete', { sessionId: 's', sessionPath: '/data/another' }, 'AgentRights'],
    ['session.send', { prompt: 'x', attachments: [{ head: { path: '/etc' } }] }, 'AgentRights'],
    ['session.create', { enableSessionStore: true }, 'CrossSession'],
    ['session.create', { memory: { enabled: true } }, 'CrossSession'],
    ['session.create', { embeddingCacheStorage: 'persistent' }, 'CrossSession'],
    ['session.create', { provider: { apiKeyCommand: 'cat /proc/1/environ' } }, 'AgentRights'],
    ['session.create', { largeOutput: { outputDir: '/tmp' } }, 'AgentRights'],
    ['session.create', { ofANewerSDK: true }, 'Unknown'],
    ['session.send', { prompt: 'x', attachments: [{ type: 'blob' }, { type: 'file', path: '/etc' }] }, 'AgentRights'],
    ['session.send', { prompt: 'x', requestHeaders: { 'api-key': 'k' } }, 'ProviderHeaders'],
    ['session.sendMessages', { messages: [{ attachments: [{ path: '/etc' }] }] }, 'AgentRights'],
    ['session.queue.insertAt', { message: { attachments: [{ path: '/etc' }] } }, 'AgentRights'],
    ['session.queue.appendSteering', { attachments: [{ filePath: '/etc' }] }, 'AgentRights'],
  ])('%s with %j is refused', (method, params, expected) => {
    expect(rule(method, params)).toBe(expected);
  });

  it('what the SDK sends with mode "empty" is allowed, with tools that reach nothing of the server', () => {
    const created = {
      sessionId: 's',
      model: 'm',
      systemMessage: { mode: 'customize' },
      tools: [],
      isExperimentalMode: false,
      enableSessionTelemetry: false,
      mcpOAuthTokenStorage: 'in-memory',
      skipEmbeddingRetrieval: true,
      embeddingCacheStorage: 'in-memory',
      enableOnDemandInstructionDiscovery: false,
      enableFileHooks: false,
      enableHostGitOperations: false,
      enableSessionStore: false,
      enableSkills: false,
      memory: { enabled: false },
      customAgentsLocalOnly: true,
      toolFilterPrecedence: 'excluded',
      envValueMode: 'direct',
      hooks: false,
      requestPermission: true,
      includeSubAgentStreamingEvents: true,
      excludedTools: ['bash'],
      availableTools: ['custom:*', 'custom:lookup', 'builtin:ask_user'],
    };
    const updated = { skipCustomInstructions: true, customAgentsLocalOnly: true, coauthorEnabled: false };
    expect(rule('session.create', created)).toBeUndefined();
    expect(rule('session.options.update', { ...updated, manageScheduleEnabled: false, installedPlugins: [] })).toBe(
      undefined,
    );
  });

  it('a name that the client made up is cut', () => {
    expect(checkParams('session.create', { ['x'.repeat(1e5)]: 1 }, 'Shared')?.message.length).toBeLessThan(300);
  });
});

describe.each(['Dedicated', 'Shared', 'SharedTrusted'] as const)('where a %s tenant has a login', (profile) => {
  const provider = { baseUrl: 'http://model', apiKey: 'k' };

  it.each([{ kind: 'create' }, { kind: 'resume', sessionId: 's' }, {}])(
    'sessions.open with %j would load a session without it, and is refused as a whole',
    (params) => {
      const refusal = checkParams('sessions.open', params, profile, true);
      expect(refusal).toEqual({
        reason: 'TenantLogin',
        parameter: undefined,
        message: `sessions.open is refused by the rule TenantLogin: ${PARAM_REASONS.TenantLogin}; call session.create or session.resume`,
      });
      expect(checkParams('sessions.open', params, profile, false)).toBeUndefined();
    },
  );

  it.each(['session.create', 'session.resume', 'session.options.update'])(
    '%s may state one, which is replaced',
    (method) => {
      expect(checkParams(method, { sessionId: 's', provider, gitHubToken: 'gho_own' }, profile, true)).toBeUndefined();
    },
  );

  it.each([
    ['session.create', { modelEndpoint: 'http://evil.example' }],
    ['session.resume', { byokProvider: { x: 1 } }],
    ['session.options.update', { API_KEY: 'k' }],
    ['session.create', { extraHeaders: { a: 'b' } }],
    ['session.create', { httpsProxy: 'http://evil.example' }],
    ['session.create', { baseURI: 'http://evil.example' }],
    ['session.create', { modelHost: 'evil.example' }],
    ['session.create', { authorization: 'x' }],
    ['session.create', { accessToken: 'x' }],
    ['session.create', { modelBaseUrl: 'http://evil.example' }],
  ])('%s must not state in %j what a newer server may take for one', (method, params) => {
    expect(checkParams(method, params, profile, true)?.reason).toBe('TenantLogin');
    expect(checkParams(method, params, profile)?.reason).toBe(profile === 'Dedicated' ? undefined : 'Unknown');
  });

  it.each(CREATES)('%s may have every parameter that is known, whatever its name', (method) => {
    const sent = sentParams(sdkSource(), method);
    expect(sent.filter((name) => /token|provider|auth/i.test(name)).length).toBeGreaterThan(3);
    const refused = sent.filter(
      (name) => checkParams(method, { [name]: 'x' }, profile, true)?.reason === 'TenantLogin',
    );
    expect(refused).toEqual([]);
  });
});

describe('in a SharedTrusted tenant', () => {
  const rule = (method: string, params: object) => checkParams(method, params, 'SharedTrusted')?.reason;

  it.each([
    ['session.create', { mcpServers: { a: { type: 'local', command: 'x' } }, workingDirectory: '/etc' }],
    ['session.create', { availableTools: ['bash'], skipCustomInstructions: false, enableSkills: true }],
    ['session.send', { prompt: 'x', attachments: [{ type: 'file', path: '/etc' }] }],
  ])('%s with %j is what an agent may do, too', (method, params) => {
    expect(rule(method, params)).toBeUndefined();
  });

  it.each([
    ['session.create', { enableSessionStore: true }, 'CrossSession'],
    ['session.create', { remoteSession: true }, 'RemoteControl'],
    ['session.create', { ofANewerSDK: true }, 'Unknown'],
    ['session.mode.set', { mode: 'plan', inheritPlanBaseFromSessionId: 'another' }, 'CrossSession'],
  ])('%s with %j reaches beyond the session', (method, params, expected) => {
    expect(rule(method, params)).toBe(expected);
  });
});
