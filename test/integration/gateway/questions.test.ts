// The tables of what servers ask clients, against the schemas of the CLI that the images are built from and of the SDK, and against what SDKs answer.
import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { METHOD_LINES } from '../../../src/gateway/methods/lines.ts';
import { decisionFor } from '../../../src/gateway/methods/rules.ts';
import { EVENT_LINES } from '../../../src/gateway/relay/questions/events.ts';
import { REQUEST_LINES } from '../../../src/gateway/relay/questions/requests.ts';
import {
  cliSchema,
  cliSdkSource,
  eventsWithRequestId,
  methodsOf,
  paramsOf,
  sdkSchema,
  takenMethods,
} from '../../support/method-schema.ts';

const FIXTURE = resolve(import.meta.dirname, '../../fixtures/sdk-methods/taken.tsv');
/** Stand in no schema. */
const UNDOCUMENTED = [
  'autoModeSwitch.request',
  'exitPlanMode.request',
  'host.event',
  'session.event',
  'session.lifecycle',
  'systemMessage.transform',
  'userInput.request',
];
/** Of versions of the SDK whose servers are not in the images. */
const OTHER_VERSIONS = [
  'factory.abort',
  'factory.execute',
  'host.authenticationCancelled',
  'host.validateAuthentication',
];
/** Events with the id of a request that is no question of the server: of a call of a model or a client, or of what was decided. */
const NO_QUESTIONS = [
  'assistant.message',
  'human_response.recorded',
  'mcp.oauth_recovery_completed',
  'permission.assentDetected',
  'permission.carriedForward',
  'permission.contextualAuthorization',
  'session.autopilot_stopped',
  'session.compaction_complete',
  'ui.ephemeral_query',
];

const requests = REQUEST_LINES.map(([method]) => method);
const questions = new Set(EVENT_LINES.flatMap(([type, completed]) => [type, completed]));
const taken = readFileSync(FIXTURE, 'utf8')
  .split('\n')
  .filter((row) => row !== '' && !row.startsWith('#'))
  .map((row) => row.split('\t') as [sdk: string, method: string]);

describe('requests of servers', () => {
  it('have a line each, and no others have one but those that are known', () => {
    const known = [...UNDOCUMENTED, ...OTHER_VERSIONS];
    expect(requests.filter((method) => !known.includes(method)).toSorted()).toEqual(methodsOf(cliSchema(), 'server'));
    expect(new Set(requests).size).toBe(requests.length);
  });

  it('that the SDKs take have a line', () => {
    const all = [
      ...takenMethods(cliSdkSource()),
      ...methodsOf(sdkSchema(), 'server'),
      ...taken.map(([, method]) => method),
    ];
    expect(all.length).toBeGreaterThan(100);
    expect(all.filter((method) => !requests.includes(method))).toEqual([]);
  });
});

describe.each([
  ['CLI', cliSchema()],
  ['SDK', sdkSchema()],
])('events in the schema of the %s', (_, schema) => {
  it('that have the id of a request ask something, or are known not to', () => {
    const found = eventsWithRequestId(schema);
    expect(found.length).toBeGreaterThan(20);
    expect(found.filter((type) => !questions.has(type) && !NO_QUESTIONS.includes(type))).toEqual([]);
  });
});

it('each event that asks, and each that ends it, is in the schema of the CLI', () => {
  const found = eventsWithRequestId(cliSchema());
  expect([...questions, ...NO_QUESTIONS].filter((type) => !found.includes(type))).toEqual([]);
});

it('each call of the schema by which clients answer has a line', () => {
  const answers = methodsOf(cliSchema(), 'client').filter((method) =>
    /\.(handlePending\w+|respondToQueuedCommand)$/.test(method),
  );
  const known = EVENT_LINES.map(([, , , , , , [method]]) => method);
  expect(known.toSorted()).toEqual(answers);
});

it.each(EVENT_LINES.map(([type, , , , , , denial]) => [type, denial] as const))(
  'what the gateway answers to %s in place of clients, they may answer, and the schema has the parameters',
  (_, [method, params]) => {
    expect(paramsOf(cliSchema(), method)).toEqual(
      expect.arrayContaining(['requestId', 'sessionId', ...Object.keys(params)]),
    );
    const line = METHOD_LINES.find(([name]) => name === method);
    expect(line && decisionFor(line, 'Dedicated')).toBe('relay');
  },
);
