// What clients have decided of permissions holds at the server that comes after a killed one, on both real servers: nothing more is allowed.
import type { CopilotClient, CopilotSession, PermissionHandler } from '@github/copilot-sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RelayBench, request, toolCall } from '../../support/relay-bench.ts';

type Decision = Awaited<ReturnType<PermissionHandler>>;
/** A method of permissions by its last word, and its params. */
type Call = readonly [method: string, params?: object];
/** What becomes of a command of the shell. */
type Outcome = 'asked' | 'allowed' | 'denied';

const TOUCH = { kind: 'shell', argument: 'touch:*' };
const ONCE: Decision = { kind: 'approve-once' };
const FOR_SESSION: Decision = {
  kind: 'approve-for-session',
  approval: { kind: 'commands', commandIdentifiers: ['touch:*'] },
};
const allow: Call = ['modifyRules', { scope: 'session', add: [TOUCH] }];
const manual: Call = ['setMode', { mode: 'manual' }];
const approveAll: Call = ['setApproveAll', { enabled: true }];
const configuredAll: Call = ['configure', { approveAllToolPermissionRequests: true }];

/** What a client decides, and what becomes of its first and its second command, and of the first one after the kill. */
const DECISIONS: readonly [what: string, calls: readonly Call[], outcomes: readonly Outcome[], answer?: Decision][] = [
  ['nothing', [], ['asked', 'asked', 'asked']],
  // The server alone knows what was approved so.
  ['to approve it for this session', [], ['asked', 'allowed', 'asked'], FOR_SESSION],
  ['a rule', [allow], ['allowed', 'allowed', 'allowed']],
  ['a rule, taken back', [allow, ['modifyRules', { scope: 'session', remove: [TOUCH] }]], ['asked', 'asked', 'asked']],
  ['a rule, gone with all approvals', [allow, ['resetSessionApprovals']], ['asked', 'asked', 'asked']],
  ['a rule that denies', [['configure', { rules: { approved: [], denied: [TOUCH] } }]], ['denied', 'denied', 'denied']],
  ['to approve everything', [approveAll], ['allowed', 'allowed', 'allowed']],
  ['to approve everything, and then a mode', [approveAll, manual], ['asked', 'asked', 'asked']],
  ['a policy that approves everything, and then a mode', [configuredAll, manual], ['asked', 'asked', 'asked']],
  ['the mode that allows all', [['setMode', { mode: 'allow-all' }]], ['allowed', 'allowed', 'allowed']],
];

describe.each(['cli', 'runtime'] as const)('what clients have decided of permissions (%s)', (binary) => {
  let bench: RelayBench;

  beforeAll(async () => {
    bench = await RelayBench.start(binary);
  }, 120_000);
  afterAll(() => bench[Symbol.asyncDispose]());

  /** A session of which this was decided; `touch` has its agent run a command. */
  async function decided(client: CopilotClient, calls: readonly Call[], answer: Decision) {
    let asked = false;
    const onPermissionRequest: PermissionHandler = () => {
      asked = true;
      return answer;
    };
    const session: CopilotSession = await client.createSession(bench.config({ onPermissionRequest }));
    const { sessionId } = session;
    await session.sendAndWait({ prompt: 'before' });
    for (const [method, params = {}] of calls) {
      await request(client, `session.permissions.${method}`, { sessionId, ...params });
    }
    return async (): Promise<Outcome> => {
      asked = false;
      const word = await bench.answer(toolCall('bash', { command: 'touch x', description: 'x' }), { text: 'done' });
      await session.sendAndWait({ prompt: word }, 60_000);
      if (asked) return 'asked';
      return (await bench.toolResults(word)).includes('exit code 0') ? 'allowed' : 'denied';
    };
  }

  it('holds after a kill, each of it', async () => {
    await bench.client(async (client) => {
      const touches = await Promise.all(DECISIONS.map(([, calls, , answer = ONCE]) => decided(client, calls, answer)));
      const round = () => Promise.all(touches.map((touch) => touch()));
      const before = [await round(), await round()];
      await bench.server.kill();
      await bench.server.start();
      const all = [...before, await round()];
      const found = DECISIONS.map(([what], index) => [what, all.map((outcomes) => outcomes[index])]);
      expect(found).toEqual(DECISIONS.map(([what, , outcomes]) => [what, outcomes]));
    });
  }, 180_000);
});
