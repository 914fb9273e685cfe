import { describe, expect, it } from '@jest/globals';
import { METHOD_REASONS } from '../../../../src/gateway/methods/reasons.ts';
import { methodRules } from '../../../../src/gateway/methods/rules.ts';
import { METHOD_LINES } from '../../../../src/gateway/methods/lines.ts';
import { methodsOf, sdkSchema } from '../../../support/method-schema.ts';

const dedicated = methodRules('Dedicated');
const shared = methodRules('Shared');
const trusted = methodRules('SharedTrusted');
const names = METHOD_LINES.map(([name]) => name);

/** Of the SDK's schema, renamed or removed by the CLI of the images: they are refused as that server refuses them. */
const GONE = /^session\.factory\.|^user\.settings\.reload$/;

describe('the table of methods', () => {
  it('has each method once', () => {
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it('uses every reason, apart from the one for methods without a line', () => {
    const used = new Set(METHOD_LINES.map(([, , , reason]) => reason));
    expect(Object.keys(METHOD_REASONS).filter((reason) => !used.has(reason as never))).toEqual(['Unknown']);
  });

  it('has every method of the schema that the SDK brings along, but for those that are gone since', () => {
    const missing = methodsOf(sdkSchema(), 'client').filter((name) => !names.includes(name) && !GONE.test(name));
    expect(missing).toEqual([]);
  });
});

describe('the rules', () => {
  it('deny in every profile what stops or reconfigures the server', () => {
    const denied = [
      'runtime.shutdown',
      'sessionFs.setProvider',
      'llmInference.setProvider',
      'agentRegistry.spawn',
      'session.queue.setDrainPaused',
      'plugins.install',
      'session.plugins.install',
      'mcp.config.add',
      'mcp.applyInstall',
      'skills.applyInstall',
      'user.settings.set',
      'managedSettings.ingest',
      'sessions.pruneOld',
      'session.provider.getEndpoint',
      'account.getCurrentAuth',
      'session.tools.set',
      'session.sendAndWait',
    ];
    for (const rules of [dedicated, shared, trusted]) {
      expect(denied.filter((name) => rules.ruleOf(name).action !== 'deny')).toEqual([]);
    }
  });

  it('allow what SDKs cannot do without, in every profile', () => {
    const needed = [
      'session.create',
      'session.resume',
      'session.detach',
      'session.send',
      'session.options.update',
      'session.eventLog.registerInterest',
      'session.permissions.handlePendingPermissionRequest',
      'session.tools.handlePendingToolCall',
      'session.getMessages',
      'status.get',
      'ping',
      'connect',
    ];
    for (const rules of [dedicated, shared, trusted]) {
      expect(needed.filter((name) => rules.ruleOf(name).action === 'deny')).toEqual([]);
    }
  });

  it('allow a shell where the agent has one', () => {
    expect(dedicated.ruleOf('session.shell.exec').action).toBe('relay');
    expect(shared.ruleOf('session.shell.exec').action).toBe('deny');
    expect(trusted.ruleOf('session.shell.exec').action).toBe('relay');
  });

  it('deny what names other sessions, and what writes whose a session is, where users are kept apart', () => {
    const denied = [
      'sessions.list',
      'sessions.bulkDelete',
      'sessions.readPersistedEvents',
      'sessions.fork',
      'sessions.open',
    ];
    for (const rules of [shared, trusted]) {
      const names = [...denied, 'session.metadata.updateClientMetadata', 'session.setForeground'];
      expect(names.filter((name) => rules.ruleOf(name).action !== 'deny')).toEqual([]);
      expect(rules.ruleOf('session.list')).toMatchObject({ action: 'rewrite', rewrite: 'own' });
      expect(rules.ruleOf('session.getLastId')).toMatchObject({ action: 'rewrite', rewrite: 'own' });
    }
  });

  it('force an agent without tools of the server on Shared tenants only', () => {
    expect([dedicated.forced, trusted.forced]).toEqual([undefined, undefined]);
    expect(shared.forced?.defaults['availableTools']).toContain('custom:*');
  });

  it.each([
    'session.commands.invoke',
    'session.permissions.paths.add',
    'session.completions.request',
    'sessions.delete',
  ])('deny %s in a Shared tenant, because it reaches paths of the server', (name) => {
    expect(shared.ruleOf(name).action).toBe('deny');
  });

  it.each(['session.gitHubAuth.setCredentials', 'session.provider.add'])(
    'deny %s, another login for a session, where users are kept apart',
    (name) => {
      expect(dedicated.ruleOf(name)).toMatchObject({ action: 'rewrite', rewrite: 'keep' });
      for (const rules of [shared, trusted]) expect(rules.ruleOf(name).action).toBe('deny');
    },
  );

  it.each(['models.list', 'account.getQuota'])('let %s ask GitHub, but not in a Shared tenant', (name) => {
    for (const rules of [dedicated, trusted]) expect(rules.ruleOf(name)).toMatchObject({ rewrite: 'login' });
    expect(shared.ruleOf(name).action).toBe('deny');
  });

  it.each(['__proto__', 'constructor', 'toString', '', 'session.send ', 'Session.send', 'session.factory.run'])(
    'deny %j, which is in no table',
    (name) => {
      expect(dedicated.ruleOf(name)).toEqual({ action: 'deny', reason: METHOD_REASONS.Unknown });
    },
  );

  it('say how a method is rewritten or answered', () => {
    expect(dedicated.ruleOf('session.resume')).toMatchObject({ action: 'rewrite', rewrite: 'attach' });
    expect(dedicated.ruleOf('session.destroy')).toMatchObject({ action: 'rewrite', rewrite: 'detach' });
    expect(dedicated.ruleOf('connect')).toMatchObject({ action: 'answer', answer: 'connect' });
    expect(dedicated.ruleOf('ping')).toMatchObject({ action: 'answer', answer: 'ping' });
  });
});
