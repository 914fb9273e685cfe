/** The tables of parameters: of the methods that set up a session or give it something from outside. */
import type { ParamLine, ParamTable } from './param-line.ts';
import { AGENT_PARAMS } from './params/agent.ts';
import {
  DELETE_PARAMS,
  INSERT_PARAMS,
  LOGIN_PARAMS,
  MESSAGE_PARAMS,
  MODEL_PARAMS,
  MODE_PARAMS,
  OPEN_PARAMS,
  PROVIDER_PARAMS,
  STEERING_PARAMS,
  TURN_PARAMS,
} from './params/calls.ts';
import { SERVER_PARAMS } from './params/server.ts';
import { SESSION_PARAMS } from './params/session.ts';

const OPTIONS: readonly ParamLine[] = [...SESSION_PARAMS, ...AGENT_PARAMS, ...SERVER_PARAMS];

/** All tables. A method that is in none has no parameter that its own line in the table of methods does not decide. */
export const PARAM_TABLES: readonly ParamTable[] = [
  { methods: ['session.create', 'session.resume', 'session.options.update'], lines: OPTIONS },
  { methods: ['sessions.open'], lines: OPEN_PARAMS, within: { path: 'options', lines: OPTIONS } },
  { methods: ['session.send'], lines: [...TURN_PARAMS, ...MESSAGE_PARAMS] },
  {
    methods: ['session.sendMessages'],
    lines: [...TURN_PARAMS, ['messages', 'allow', 'same', 'Prompt']],
    within: { path: 'messages.*', lines: MESSAGE_PARAMS },
  },
  {
    methods: ['session.queue.insertAt'],
    lines: INSERT_PARAMS,
    within: { path: 'message', lines: [...TURN_PARAMS, ...MESSAGE_PARAMS] },
  },
  { methods: ['session.queue.appendSteering'], lines: STEERING_PARAMS },
  { methods: ['session.model.switchTo'], lines: MODEL_PARAMS },
  { methods: ['session.mode.set'], lines: MODE_PARAMS },
  { methods: ['session.gitHubAuth.setCredentials'], lines: LOGIN_PARAMS },
  { methods: ['session.delete', 'sessions.delete'], lines: DELETE_PARAMS },
  { methods: ['session.provider.add'], lines: PROVIDER_PARAMS },
];

/** All lines of a table, each with its path in the params. */
export function linesOf({ lines, within }: ParamTable): readonly ParamLine[] {
  if (within === undefined) return lines;
  const inner = within.lines.map(([path, ...decisions]): ParamLine => [`${within.path}.${path}`, ...decisions]);
  return [...lines, ...inner];
}
