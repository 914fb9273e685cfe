/** Kinds of questions that a real server asks: what has it ask, how a client of the Node SDK answers, and what shows which answer has counted. */
import type { CopilotSession, SessionConfig, SessionEvent } from '@github/copilot-sdk';
import { join } from 'node:path';
import type { Step } from '../model/script.ts';
import { toolCall } from './relay-bench.ts';

/** One kind. */
export interface QuestionKind {
  readonly name: string;
  /** The event that asks. */
  readonly type: string;
  /** What the model says before the turn can end. */
  readonly steps: readonly Step[];
  /** What a session needs beside, so that it comes to be asked. */
  readonly config: Partial<SessionConfig>;
  /** Called before the prompt. */
  readonly prepare?: (session: CopilotSession) => Promise<unknown>;
  /** With what a client says that it answers, and answers by this word, whenever that comes. `made`: the session, once it is there. */
  readonly answering: (word: () => Promise<string>, made: Promise<CopilotSession>) => Partial<SessionConfig>;
  /** An interest by which a client says so, in place of a handler. */
  readonly interest?: SessionEvent['type'];
  /** Of two clients, the words of the first and of the second one. */
  readonly words: readonly [first: string, second: string];
}

const asking: Partial<SessionConfig> = {
  mcpServers: {
    asking: {
      type: 'local',
      command: process.execPath,
      args: [join(import.meta.dirname, 'asking-mcp.ts')],
      tools: ['*'],
    },
  },
};
const plan = { summary: 'S', actions: ['interactive'], recommendedAction: 'interactive' };
const words = ['word of the first', 'word of the second'] as const;

export const PERMISSION: QuestionKind = {
  name: 'a permission',
  type: 'permission.requested',
  steps: [toolCall('bash', { command: 'echo hi42', description: 'x' })],
  config: {},
  answering: (word) => ({ onPermissionRequest: async () => ({ kind: 'reject', feedback: await word() }) }),
  words,
};

export const ELICITATION: QuestionKind = {
  name: 'an elicitation of an MCP server',
  type: 'elicitation.requested',
  steps: [toolCall('asking-elicit', {})],
  config: asking,
  answering: (word) => ({
    onElicitationRequest: async () => ({ action: 'accept', content: { word: await word() } }),
  }),
  words,
};

export const SAMPLING: QuestionKind = {
  name: 'a sampling of an MCP server',
  type: 'sampling.requested',
  steps: [toolCall('asking-sample', {})],
  config: asking,
  answering: (word, made) => ({
    onEvent: (event) => {
      if (event.type === 'sampling.requested') void sample(event.data.requestId, word, made);
    },
  }),
  interest: 'sampling.requested',
  words,
};

export const LEAVING_PLAN_MODE: QuestionKind = {
  name: 'leaving plan mode',
  type: 'exit_plan_mode.requested',
  steps: [toolCall('exit_plan_mode', plan)],
  config: {},
  prepare: (session) => session.rpc.mode.set({ mode: 'plan' }),
  answering: (word) => ({ onExitPlanModeRequest: async () => ({ approved: false, feedback: await word() }) }),
  words,
};

export const AUTOMATIC_MODEL: QuestionKind = {
  name: 'the switch to the automatic model',
  type: 'auto_mode_switch.requested',
  // It asks when it has tried five times more.
  steps: Array.from({ length: 6 }, () => ({
    error: { status: 429, code: 'user_weekly_rate_limited', retryAfterSeconds: 1 },
  })),
  config: {},
  answering: (word) => ({ onAutoModeSwitchRequest: async () => (await word()) as 'yes' | 'no' }),
  words: ['yes', 'no'],
};

/** No SDK answers it by itself. */
async function sample(requestId: string, word: () => Promise<string>, made: Promise<CopilotSession>): Promise<void> {
  const content = { type: 'text', text: await word() };
  const { rpc } = await made;
  await rpc.ui.handlePendingSampling({ requestId, response: { role: 'assistant', model: 'own', content } });
}
