import { describe, expect, it } from '@jest/globals';
import { Prompts, SETTLES_MS } from '../../../../src/gateway/relay/turns/prompts.ts';

const SEND = 'session.send';
const MIB = 1024 * 1024;

function acknowledged(prompts: Prompts, id: string, now = 0, text = id) {
  const prompt = prompts.sent(SEND, { sessionId: 's', prompt: text }, 0, now);
  prompts.acknowledged(prompt, { messageId: id }, now);
  return prompt;
}

const idsOf = (prompts: Prompts) => prompts.cut.map(({ messages }) => [...(messages[0]?.ids ?? [])][0]);

describe('prompts that matter when a server is lost', () => {
  it('are those that it has acknowledged and not finished', () => {
    const prompts = new Prompts();
    for (const id of ['a', 'b']) acknowledged(prompts, id);
    expect(prompts.areUnfinished).toBe(true);
    prompts.finished(100);
    expect(prompts.areUnfinished).toBe(false);
  });

  it('are those that it finished a moment ago, whose answer it may not have written', () => {
    const prompts = new Prompts();
    acknowledged(prompts, 'a');
    prompts.finished(100);
    acknowledged(prompts, 'b', 200);
    prompts.lost(99 + SETTLES_MS, true, 5000);
    expect(idsOf(prompts)).toEqual(['a', 'b']);
    prompts.loaded();
    prompts.lost(100 + SETTLES_MS, true, 5000);
    expect(idsOf(prompts)).toEqual(['b']);
  });

  it('are those until the next one has loaded the session: what the lost one had not written is not written any more', () => {
    const prompts = new Prompts();
    acknowledged(prompts, 'a');
    prompts.finished(100);
    prompts.lost(200, false, 5000);
    prompts.sent(SEND, { prompt: 'x' }, 0, 100 + SETTLES_MS);
    prompts.lost(5000, false, 5000);
    expect(idsOf(prompts)).toEqual(['a']);
    prompts.loaded();
    prompts.forgetSettled(5000);
    expect(idsOf(prompts)).toEqual([]);
  });

  it('are those that were over, and that a server begins with once more', () => {
    const prompts = new Prompts();
    for (const id of ['a', 'b']) acknowledged(prompts, id);
    prompts.finished(100);
    prompts.seen('b', 1);
    expect(prompts.openAt(200, true, 5000).map(({ messages }) => [...(messages[0]?.ids ?? [])])).toEqual([['b']]);
    prompts.lost(100 + SETTLES_MS, true, 5000);
    expect(idsOf(prompts)).toEqual(['b']);
  });

  it('are those whose acknowledgement was lost, but not those that are yet to be sent', () => {
    const prompts = new Prompts();
    const lost = prompts.sent(SEND, { prompt: 'x' }, 0, 0);
    lost.waiting = () => undefined;
    prompts.sent(SEND, { prompt: 'y' }, 0, 0);
    expect(prompts.cut).toEqual([lost]);
    expect(prompts.areOnTheWay).toBe(true);
  });

  it('are no commands: those begin nothing for a while', () => {
    const prompts = new Prompts();
    acknowledged(prompts, '/command');
    acknowledged(prompts, 'seen');
    prompts.seen('seen', 1);
    prompts.lost(5000, false, 5000);
    expect(idsOf(prompts)).toEqual(['seen']);
  });

  it('are no commands, unless they look like one: a busy server needs long to begin', () => {
    const prompts = new Prompts();
    const texts = ['words', ' 2 words', 'été', '/command', '!ls', '#note', ''];
    for (const [index, text] of texts.entries()) acknowledged(prompts, `${index}`, 0, text);
    const forShell = prompts.sent(SEND, { prompt: 'ls', agentMode: 'shell' }, 0, 0);
    prompts.acknowledged(forShell, { messageId: 'shell' }, 0);
    prompts.lost(5000, false, 5000);
    expect(idsOf(prompts)).toEqual(['0', '1', '2']);
  });

  it('are not those of a session that was closed', () => {
    const prompts = new Prompts();
    acknowledged(prompts, 'a');
    prompts.closed();
    expect(prompts.cut).toEqual([]);
  });
});

it('prompts are kept as far as they are small, and a single one of any size', () => {
  const prompts = new Prompts();
  acknowledged(prompts, 'a', 0, 'x'.repeat(5 * MIB));
  acknowledged(prompts, 'b');
  expect(prompts.cut.map(({ params }) => params !== undefined)).toEqual([true, false]);
});

it('each message of a prompt has an id of its own', () => {
  const prompts = new Prompts();
  const messages = [{ prompt: 'x' }, { prompt: 'y' }];
  const prompt = prompts.sent('session.sendMessages', { messages }, 0, 0);
  prompts.acknowledged(prompt, { messageIds: ['1', '2'] }, 0);
  expect(prompt.messages.map(({ ids }) => [...ids])).toEqual([['1'], ['2']]);
});

it('whoever waits for an acknowledgement is told once when all is given up', () => {
  const prompts = new Prompts();
  const told: string[] = [];
  const prompt = prompts.sent(SEND, { prompt: 'x' }, 0, 0);
  prompt.waiting = ({ kind }) => void told.push(kind);
  for (let n = 0; n < 2; n += 1) prompts.giveUp({ kind: 'TooMany', why: '' });
  expect(told).toEqual(['TooMany']);
});
