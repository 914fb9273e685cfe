/** The table of what servers send to clients beside events, one line each: all of the schemas of the supported CLI and SDKs, and what stands in no schema. */
import type { QuestionReason } from './reasons.ts';

/**
 * Which clients are asked: those of which the attach says so, by a flag; by a section of the system message to be transformed; by a provider of which the
 * client has the tokens; by the registration that the request names; or by canvases. `anyone`: no attach says it.
 */
export type DeclaredBy =
  `request${string}` | 'hooks' | 'transform' | 'tokenProvider' | 'tokenRegistration' | 'canvases' | 'anyone';

/**
 * The method. `All`: everyone who declared it is asked; `Last`: the last one who did, and the one before it when that one is gone; `Session`: a
 * notification for all clients of its session; `Users`: the same for all who may know of the session; `Nobody`: it is refused with -32601, or dropped.
 * By what a client declares it. How long it is open: until its turn has ended, or until it is answered. Why.
 */
export type RequestLine = readonly [
  method: string,
  audience: 'All' | 'Last' | 'Session' | 'Users' | 'Nobody',
  declaredBy: DeclaredBy | undefined,
  lifetime: 'Turn' | 'Call' | undefined,
  reason: QuestionReason,
];

/** What clients of a session are asked, or told. */
const OFFERED: readonly RequestLine[] = [
  ['userInput.request', 'All', 'requestUserInput', 'Turn', 'Person'],
  ['exitPlanMode.request', 'All', 'requestExitPlanMode', 'Turn', 'Person'],
  ['autoModeSwitch.request', 'All', 'requestAutoModeSwitch', 'Turn', 'Person'],
  ['hooks.invoke', 'All', 'hooks', 'Turn', 'Hook'],
  ['systemMessage.transform', 'Last', 'transform', 'Turn', 'Rewrite'],
  ['providerToken.getToken', 'Last', 'tokenProvider', 'Turn', 'Token'],
  ['gitHubToken.getToken', 'Last', 'tokenRegistration', 'Call', 'Token'],
  ['canvas.open', 'Last', 'canvases', 'Call', 'Shown'],
  ['canvas.close', 'Last', 'canvases', 'Call', 'Shown'],
  ['canvas.action.invoke', 'Last', 'canvases', 'Call', 'Shown'],
  ['tasks.cancel', 'Last', 'anyone', 'Call', 'Work'],
  ['session.event', 'Session', undefined, undefined, 'Notice'],
  ['host.event', 'Session', undefined, undefined, 'Notice'],
  ['session.lifecycle', 'Users', undefined, undefined, 'Notice'],
];

/** What no client is asked, or told. */
const REFUSED: readonly (readonly [reason: QuestionReason, methods: readonly string[]])[] = [
  [
    'ConnectionProvider',
    [
      'llmInference.httpRequestChunk',
      'llmInference.httpRequestStart',
      'sessionFs.appendFile',
      'sessionFs.exists',
      'sessionFs.mkdir',
      'sessionFs.readFile',
      'sessionFs.readFileBytes',
      'sessionFs.readdir',
      'sessionFs.readdirWithTypes',
      'sessionFs.rename',
      'sessionFs.rm',
      'sessionFs.sqliteExists',
      'sessionFs.sqliteQuery',
      'sessionFs.sqliteTransaction',
      'sessionFs.stat',
      'sessionFs.writeFile',
      'sessionFs.writeFileBytes',
    ],
  ],
  ['Extension', ['factory.abort', 'factory.execute', 'workflow.abort', 'workflow.execute']],
  [
    'HostProgram',
    [
      'extensionLaunchProvider.resolve',
      'host.authenticationCancelled',
      'host.exited',
      'host.materializeSession',
      'host.registerSession',
      'host.sessionReleased',
      'host.shutdown',
      'host.unregisterSession',
      'host.validateAuthentication',
      'skillProvider.list',
      'skillProvider.read',
      'uiThread.run',
    ],
  ],
  ['Installs', ['installations.confirm']],
  ['NotAsked', ['gitHubTelemetry.event']],
];

/** All lines. A method without one is refused, too. */
export const REQUEST_LINES: readonly RequestLine[] = [
  ...OFFERED,
  ...REFUSED.flatMap(([reason, methods]) =>
    methods.map((method): RequestLine => [method, 'Nobody', undefined, undefined, reason]),
  ),
];
