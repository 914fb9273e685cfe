// What SDKs call passes in a Dedicated tenant, or is refused for a reason that somebody has looked at: an edit of the table that breaks a client fails here.
import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { MethodReason } from '../../../../src/gateway/methods/reasons.ts';
import { METHOD_LINES } from '../../../../src/gateway/methods/lines.ts';
import { decisionFor } from '../../../../src/gateway/methods/rules.ts';
import { calledMethods, sdkBindings, sdkSource } from '../../../support/method-schema.ts';

/** `wire`: seen on the wire. `client`: called by the classes of an SDK. `rpc`: called by its generated bindings only, where a program uses these. */
type Use = 'wire' | 'client' | 'rpc';

const lines = new Map(METHOD_LINES.map((line) => [line[0], line]));
const fixtures = resolve(import.meta.dirname, '../../../fixtures/sdk-methods');

function fixture(name: string): Map<string, Use> {
  const rows = readFileSync(join(fixtures, name), 'utf8')
    .split('\n')
    .filter((row) => row !== '' && !row.startsWith('#'));
  return new Map(rows.map((row) => row.split('\t') as [Use, string]).map(([use, method]) => [method, use]));
}

function installedSdk(): Map<string, Use> {
  const rpc = calledMethods(sdkBindings()).map((name) => [name, 'rpc'] as const);
  return new Map<string, Use>([...rpc, ...calledMethods(sdkSource()).map((name) => [name, 'client'] as const)]);
}

/**
 * Refused in a Dedicated tenant although a program called it. To add one, be sure that its SDK goes on without it, or that its users
 * have another way.
 */
const REFUSED: Partial<Record<MethodReason, readonly string[]>> = {
  ConnectionProvider: [
    'host.dispose',
    'host.listSessions',
    'host.publishSession',
    'host.start',
    'host.unpublishSession',
    'llmInference.httpResponseChunk',
    'llmInference.httpResponseStart',
    'llmInference.setProvider',
    'sessionFs.setProvider',
  ],
  Credentials: ['account.getCurrentAuth', 'session.provider.getEndpoint'],
  Installs: [
    'mcp.config.add',
    'mcp.config.disable',
    'mcp.config.enable',
    'mcp.config.reload',
    'mcp.config.remove',
    'mcp.config.update',
    'plugins.builtin.set',
    'plugins.disable',
    'plugins.enable',
    'plugins.install',
    'plugins.marketplaces.add',
    'plugins.marketplaces.refresh',
    'plugins.marketplaces.remove',
    'plugins.uninstall',
    'plugins.update',
    'plugins.updateAll',
    'sessions.setAdditionalPlugins',
    'skills.config.setDisabledSkills',
  ],
  PrunesRunning: ['sessions.pruneOld'],
  Settings: ['user.settings.set'],
  SpawnsServer: ['agentRegistry.spawn'],
  // The Python SDK then sends the prompt and waits by itself.
  WholeTurn: ['session.sendAndWait'],
};

/** Without a line, so refused as the CLI of the images refuses what it does not have. */
const WITHOUT_LINE: Readonly<Record<string, RegExp>> = {
  'Node SDK that is installed': /^session\.factory\.|^user\.settings\.reload$/,
  'Node SDK 1.0.15-preview.4': /^accounts\.acquireEntraToken$|^user\.settings\.reload$/,
  'Python SDK 1.0.27':
    /^host\.(authenticate|cancelAuthentication|getAuthenticationCredentials|setSessionCreationPolicy)$|^session\.tools\.getSubagentSettings$/,
  'programs that were measured': /^session\.factory\.(resume|run)$|^user\.settings\.reload$/,
};

const sdks: readonly (readonly [name: string, calls: Map<string, Use>, atLeast: number])[] = [
  ['programs that were measured', fixture('measured.tsv'), 200],
  ['Node SDK that is installed', installedSdk(), 300],
  ['Node SDK 1.0.15-preview.4', fixture('node-1.0.15-preview.4.tsv'), 400],
  ['Python SDK 1.0.27', fixture('python-1.0.27.tsv'), 500],
];

describe.each(sdks)('the %s', (name, calls, atLeast) => {
  it('calls methods that have a line each, but for those that the CLI of the images does not have', () => {
    expect(calls.size).toBeGreaterThan(atLeast);
    const missing = [...calls.keys()].filter((method) => !lines.has(method));
    const known = WITHOUT_LINE[name] ?? /^$/;
    expect(missing.filter((method) => !known.test(method))).toEqual([]);
    expect(missing.length).toBeGreaterThan(0);
  });

  it('is refused nothing in a Dedicated tenant that was not looked at', () => {
    const refused = [...calls]
      .filter(([, use]) => use !== 'rpc')
      .map(([method]) => lines.get(method))
      .filter((line) => line !== undefined)
      .filter((line) => decisionFor(line, 'Dedicated') === 'deny');
    const unexpected = refused.filter(([method, , , reason]) => REFUSED[reason]?.includes(method) !== true);
    expect(unexpected.map(([method, , , reason]) => `${method}: ${reason}`)).toEqual([]);
  });
});

it('what was looked at is refused, and called by one of them', () => {
  const looked = Object.values(REFUSED).flat();
  const isDenied = (method: string): boolean => {
    const line = lines.get(method);
    return line !== undefined && decisionFor(line, 'Dedicated') === 'deny';
  };
  expect(looked.filter((method) => !isDenied(method))).toEqual([]);
  expect(looked.filter((method) => !sdks.some(([, calls]) => (calls.get(method) ?? 'rpc') !== 'rpc'))).toEqual([]);
});
