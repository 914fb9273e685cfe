import { describe, expect, it } from '@jest/globals';
import { activityOf, journalState, type JournalEvent, type SessionActivity } from '../../../src/copilot/index.ts';

const START = Date.UTC(2026, 0, 1);

/** Events a second apart; `type@name` is an event of the sub-agent `name`. */
function events(text: string): JournalEvent[] {
  return text
    .split(' ')
    .filter((word) => word !== '')
    .map((word, index) => {
      const [type = '', agent] = word.split('@');
      const event = { id: `e${index}`, type, at: START + index * 1000 };
      return agent === undefined ? event : { ...event, agent };
    });
}

const FIRST = 'session.start user.message system.message assistant.turn_start';
const ANSWER = 'session.usage_record assistant.message assistant.turn_end';
const TOOL = 'assistant.message tool.execution_start permission.requested permission.completed tool.execution_complete';
const SUB = 'user.message@a assistant.turn_start@a assistant.message@a';

const table: [what: string, journal: string, activity: SessionActivity, lastActivity: number | undefined][] = [
  ['no events', '', 'Loaded', undefined],
  ['created only', 'session.start', 'Loaded', undefined],
  ['a prompt that just came', 'session.start user.message', 'Active', 1],
  ['a model that answers', FIRST, 'Active', 3],
  ['an answered prompt', `${FIRST} ${ANSWER}`, 'Loaded', 6],
  ['an answered prompt, unloaded', `${FIRST} ${ANSWER} session.shutdown`, 'Unloaded', 6],
  ['a second prompt', `${FIRST} ${ANSWER} user.message assistant.turn_start`, 'Active', 8],
  ['a tool that runs', `${FIRST} assistant.message tool.execution_start`, 'Active', 5],
  ['a permission that is never given', `${FIRST} assistant.message permission.requested`, 'Active', 5],
  ['the turn after a tool call', `${FIRST} ${TOOL} assistant.turn_end assistant.turn_start`, 'Active', 10],
  ['an answer after a tool call', `${FIRST} ${TOOL} assistant.turn_end assistant.turn_start ${ANSWER}`, 'Loaded', 13],
  ['only tool calls in sight', `${TOOL} ${TOOL}`, 'Active', 9],
  ['an aborted turn', `${FIRST} abort assistant.turn_end`, 'Loaded', 5],
  ['an aborted tool call', `${FIRST} tool.execution_start abort tool.execution_complete`, 'Loaded', 6],
  ['a turn that failed', `${FIRST} assistant.turn_end session.error`, 'Loaded', 4],
  ['unloaded in the middle of a turn', `${FIRST} session.shutdown`, 'Unloaded', 3],
  ['loaded again', `${FIRST} ${ANSWER} session.shutdown session.resume`, 'Loaded', 6],
  ['loaded and unloaded again', `${FIRST} ${ANSWER} session.shutdown session.resume session.shutdown`, 'Unloaded', 6],
  ['loaded after a kill in a turn', `${FIRST} session.resume`, 'Loaded', 3],
  ['a turn after a kill in a turn', `${FIRST} session.resume user.message`, 'Active', 5],
  ['created again under an existing id', `${FIRST} session.start`, 'Loaded', 3],
  ['a sub-agent within a turn', `${FIRST} tool.execution_start subagent.started@a ${SUB}`, 'Active', 8],
  ['a sub-agent that is done, within a turn', `${FIRST} ${SUB} assistant.turn_end@a`, 'Active', 7],
  ['a sub-agent in the background', `${FIRST} subagent.started@a ${ANSWER} ${SUB}`, 'Active', 10],
  ['one that has finished', `${FIRST} ${ANSWER} ${SUB} assistant.turn_end@a subagent.completed@a`, 'Loaded', 11],
  ['one of two that has finished', `${FIRST} ${ANSWER} ${SUB} user.message@b assistant.turn_end@a`, 'Active', 11],
  ['one that was aborted alone', `${FIRST} ${SUB} abort@a`, 'Active', 7],
  ['all aborted together', `${FIRST} ${SUB} abort`, 'Loaded', 7],
];

describe('the state of a session by its journal', () => {
  it.each(table)('%s: %s: %s', (_, journal, activity, lastActivity) => {
    const state = journalState(events(journal));
    expect(state.activity).toBe(activity);
    expect(state.lastActivityTime).toBe(lastActivity === undefined ? undefined : START + lastActivity * 1000);
  });
});

describe('a session whose server was killed', () => {
  const times = { startedAt: START + 3500, modifiedTime: START + 3000 };

  it('is not loaded if it has had no event since the process started', () => {
    expect(activityOf(journalState(events(FIRST)), times)).toBe('Unloaded');
    expect(activityOf(journalState(events(FIRST)), { ...times, startedAt: START + 3000 })).toBe('Active');
  });

  it('has the state of its journal as soon as the new process has written to it', () => {
    expect(activityOf(journalState(events(`${FIRST} session.resume user.message`)), times)).toBe('Active');
  });

  it('has a state by its file if it has no events', () => {
    expect(activityOf(journalState([]), times)).toBe('Unloaded');
    expect(activityOf(journalState([]), { ...times, modifiedTime: START + 4000 })).toBe('Loaded');
  });
});
