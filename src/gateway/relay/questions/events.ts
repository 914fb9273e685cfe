/** The table of events by which a session asks its clients something, one line each: all types of the schema with an answer of their own. */
import type { QuestionReason } from './reasons.ts';

/**
 * How long one is open. `Journal`: until it is answered, also at the next process of the server, which keeps it on the disk. `Turn`: until
 * it is answered or its turn has ended, which a server that aborts does not say of it. `Call`: until it is answered or the process is gone.
 * `Aside`: the same, but nothing waits for it, so that it keeps no session in memory.
 */
export type Lifetime = 'Journal' | 'Turn' | 'Call' | 'Aside';

/**
 * The type, and the type that says that it is answered. `All`: each attached client may answer, the first answer counts; else the list by which
 * exactly one client has declared it, with the field of the event's data that has the name. What a client says that will answer: a flag of its
 * attach, or an interest in the type. How long it is open, why, and what the gateway calls in place of clients that do not come. At last the
 * request, and the field that both have, by which the server asks the same once more of those that set the flag.
 */
export type EventLine = readonly [
  type: string,
  completed: string,
  audience: 'All' | readonly [list: 'tools' | 'commands', name: string],
  attendedBy: `request${string}` | 'Interest' | 'Declared',
  lifetime: Lifetime,
  reason: QuestionReason,
  denial: readonly [method: string, params: object],
  twin?: readonly [method: string, field: string],
];

const NOBODY = 'No client was there to answer in time.';

/** In the order in which they are read. */
export const EVENT_LINES: readonly EventLine[] = [
  [
    'permission.requested',
    'permission.completed',
    'All',
    'requestPermission',
    'Journal',
    'Person',
    ['session.permissions.handlePendingPermissionRequest', { result: { kind: 'reject', feedback: NOBODY } }],
  ],
  [
    'external_tool.requested',
    'external_tool.completed',
    ['tools', 'toolName'],
    'Declared',
    'Journal',
    'Work',
    ['session.tools.handlePendingToolCall', { error: NOBODY }],
  ],
  [
    'command.execute',
    'command.completed',
    ['commands', 'commandName'],
    'Declared',
    'Call',
    'Work',
    ['session.commands.handlePendingCommand', { error: 'No client has this command.' }],
  ],
  [
    'command.queued',
    'command.completed',
    'All',
    'Interest',
    'Call',
    'Work',
    ['session.commands.respondToQueuedCommand', { result: { handled: false } }],
  ],
  [
    'elicitation.requested',
    'elicitation.completed',
    'All',
    'requestElicitation',
    'Turn',
    'Person',
    ['session.ui.handlePendingElicitation', { result: { action: 'cancel' } }],
  ],
  [
    'user_input.requested',
    'user_input.completed',
    'All',
    'requestUserInput',
    'Turn',
    'Person',
    ['session.ui.handlePendingUserInput', { response: { answer: NOBODY, wasFreeform: true } }],
    ['userInput.request', 'question'],
  ],
  [
    'exit_plan_mode.requested',
    'exit_plan_mode.completed',
    'All',
    'requestExitPlanMode',
    'Turn',
    'Person',
    ['session.ui.handlePendingExitPlanMode', { response: { approved: false, feedback: NOBODY } }],
    ['exitPlanMode.request', 'summary'],
  ],
  [
    'auto_mode_switch.requested',
    'auto_mode_switch.completed',
    'All',
    'requestAutoModeSwitch',
    'Turn',
    'Person',
    ['session.ui.handlePendingAutoModeSwitch', { response: 'no' }],
    ['autoModeSwitch.request', 'errorCode'],
  ],
  [
    'session_limits_exhausted.requested',
    'session_limits_exhausted.completed',
    'All',
    'Interest',
    'Turn',
    'Person',
    ['session.ui.handlePendingSessionLimitsExhausted', { response: { action: 'cancel' } }],
  ],
  [
    'sampling.requested',
    'sampling.completed',
    'All',
    'Interest',
    'Turn',
    'Sample',
    ['session.ui.handlePendingSampling', {}],
  ],
  [
    'mcp.oauth_required',
    'mcp.oauth_completed',
    'All',
    'Interest',
    'Aside',
    'Login',
    ['session.mcp.oauth.handlePendingRequest', { result: { kind: 'cancelled' } }],
  ],
  [
    'mcp.headers_refresh_required',
    'mcp.headers_refresh_completed',
    'All',
    'Interest',
    'Aside',
    'Token',
    ['session.mcp.headers.handlePendingHeadersRefreshRequest', { result: { kind: 'none' } }],
  ],
];
