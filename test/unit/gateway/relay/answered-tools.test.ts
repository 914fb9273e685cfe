// Tools of clients that were answered and whose result the journal lacks.
import { describe, expect, it } from '@jest/globals';
import { lacksResult } from '../../../../src/gateway/relay/failover/answered-tools.ts';
import { journalEvent } from '../../../support/relay-world.ts';

const requested = (request: string, call: string) =>
  journalEvent('external_tool.requested', { requestId: request, toolCallId: call });
const completed = (request: string) => journalEvent('external_tool.completed', { requestId: request });
const finished = (call: string) => journalEvent('tool.execution_complete', { toolCallId: call });

describe('the journal of a turn', () => {
  it.each([
    ['without tools', [], false],
    ['with a tool that nobody has answered', [requested('r', 'c')], false],
    ['with an answer and its result', [requested('r', 'c'), completed('r'), finished('c')], false],
    ['with an answer and no result', [requested('r', 'c'), completed('r')], true],
    [
      'with the result of one of two',
      [requested('r', 'c'), requested('s', 'd'), completed('r'), completed('s'), finished('d')],
      true,
    ],
    [
      'with one that waits and one with a result',
      [requested('r', 'c'), requested('s', 'd'), completed('s'), finished('d')],
      false,
    ],
    ['with an answer to what is further back', [completed('r')], false],
  ])('%s', (_what, events, lacks) => {
    const read = events.map((event) => ({ id: event.id, type: event.type, event: { ...event } }));
    expect(lacksResult(read)).toBe(lacks);
  });
});
