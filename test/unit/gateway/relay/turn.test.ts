import { describe, expect, it } from '@jest/globals';
import { Turn } from '../../../../src/gateway/relay/turns/turn.ts';

/** A turn of which every send and refusal is written down. */
function recorded(limit = 10, maxBytes = 100) {
  const log: string[] = [];
  const ends: string[] = [];
  const places: string[] = [];
  const at = { now: 1000 };
  const observer = {
    turnEnded: (end: string) => void ends.push(`turn ${end}`),
    heldEnded: (end: string) => void ends.push(`held ${end}`),
  };
  const turn = new Turn<string>(limit, maxBytes, observer, () => at.now);
  const send = (client: string, prompt: string, bytes = 1) =>
    turn.request(
      client,
      bytes,
      () => log.push(`${client}:${prompt}`),
      (why) => log.push(`${client}:${prompt} ${why}`),
      (place, count) => places.push(`${client}:${prompt} ${place}/${count}`),
    );
  return { turn, log, ends, places, at, send };
}

describe('prompts of several clients', () => {
  it('are sent one client’s at a time, in order', () => {
    const { turn, log, send } = recorded();
    send('a', '1');
    turn.answered('a', false);
    turn.started();
    send('b', '1');
    send('c', '1');
    send('a', '2');
    expect(log).toEqual(['a:1', 'a:2']);
    turn.answered('a', false);
    expect([turn.holds('a'), turn.holds('b')]).toEqual([false, true]);
    turn.idle();
    expect(log).toEqual(['a:1', 'a:2', 'b:1']);
    expect([turn.holds('b'), turn.holds('c')]).toEqual([false, true]);
    turn.answered('b', false);
    turn.started();
    turn.idle();
    expect(log.at(-1)).toBe('c:1');
  });

  it('are awaited by their client until the server gets them', () => {
    const { turn, send } = recorded();
    send('a', '1');
    turn.sent('a');
    turn.answered('a', false);
    turn.started();
    send('b', '1');
    expect([turn.awaits('a'), turn.awaits('b')]).toEqual([false, true]);
    turn.idle();
    expect([turn.awaits('a'), turn.awaits('b')]).toEqual([false, true]);
    turn.sent('a');
    expect(turn.awaits('b')).toBe(true);
    turn.sent('b');
    expect(turn.awaits('b')).toBe(false);
  });

  it('of the same client that are held one behind the other are sent together', () => {
    const { turn, log, send } = recorded();
    send('a', '1');
    turn.answered('a', false);
    send('b', '1');
    send('b', '2');
    send('c', '1');
    turn.idle();
    expect(log).toEqual(['a:1', 'b:1', 'b:2']);
  });

  it('that cross the end of the turn keep it', () => {
    const { turn, log, send } = recorded();
    send('a', '1');
    turn.answered('a', false);
    turn.started();
    send('a', '2');
    send('b', '1');
    turn.idle();
    expect(log).toEqual(['a:1', 'a:2']);
    turn.answered('a', false);
    turn.started();
    turn.idle();
    expect(log.at(-1)).toBe('b:1');
  });

  it('that the server refuses give the turn on', () => {
    const { turn, log, send } = recorded();
    send('a', '1');
    send('b', '1');
    turn.answered('a', true);
    expect(log).toEqual(['a:1', 'b:1']);
    turn.answered('b', true);
    expect([turn.isTaken, turn.isBusy]).toEqual([false, false]);
  });

  it('wait for a turn that nobody here began', () => {
    const { turn, log, send } = recorded();
    turn.started();
    send('a', '1');
    expect(log).toEqual([]);
    turn.idle();
    expect(log).toEqual(['a:1']);
  });

  it('are refused beyond the limit, and when the server is lost', () => {
    const { turn, log, send } = recorded(1);
    send('a', '1');
    send('b', '1');
    send('c', '1');
    expect(log).toEqual(['a:1', 'c:1 TooMany']);
    turn.end('ServerLost');
    expect(log.at(-1)).toBe('b:1 Lost');
    expect(turn.isTaken).toBe(false);
  });

  it('are told that their session was deleted', () => {
    const { turn, log, send } = recorded();
    send('a', '1');
    send('b', '1');
    turn.end('SessionDeleted', 'SessionDeleted');
    expect(log).toEqual(['a:1', 'b:1 SessionDeleted']);
  });

  it('are refused when too many bytes are held', () => {
    const { turn, log, send } = recorded(10, 100);
    send('a', '1');
    send('b', '1', 60);
    send('c', '1', 60);
    expect(log).toEqual(['a:1', 'c:1 TooMany']);
    turn.leave('b');
    send('c', '2', 60);
    expect(log).toEqual(['a:1', 'c:1 TooMany', 'b:1 Left']);
  });

  it('of a client that is gone are not sent, while its turn goes on', () => {
    const { turn, log, send } = recorded();
    send('a', '1');
    turn.answered('a', false);
    turn.started();
    send('b', '1');
    send('c', '1');
    turn.leave('b');
    turn.leave('a');
    expect(turn.isRunning).toBe(true);
    turn.idle();
    expect(log).toEqual(['a:1', 'b:1 Left', 'c:1']);
  });

  it('are stuck behind one that was taken and starts no turn', () => {
    const { turn, send } = recorded();
    send('a', '/command');
    send('b', '1');
    expect(turn.isStuck).toBe(false);
    turn.answered('a', false);
    expect(turn.isStuck).toBe(true);
    turn.started();
    expect(turn.isStuck).toBe(false);
  });
});

describe('a prompt that waits', () => {
  it('is told its place, and again when that has changed', () => {
    const { turn, places, send } = recorded();
    for (const client of ['a', 'b', 'c', 'd']) send(client, '1');
    expect(places).toEqual(['b:1 1/1', 'c:1 2/2', 'd:1 3/3']);
    turn.leave('c');
    expect(places.splice(0)).toEqual(['b:1 1/1', 'c:1 2/2', 'd:1 3/3', 'd:1 2/2']);
    turn.answered('a', true);
    expect(places).toEqual(['d:1 1/1']);
  });

  it('can be taken back, with what its client has sent behind it, and nothing of others is', () => {
    const { turn, log, ends, send } = recorded();
    for (const client of ['a', 'b', 'c', 'b']) send(client, '1');
    expect([turn.cancel('b'), turn.cancel('b'), turn.cancel('a')]).toEqual([true, false, false]);
    expect(log).toEqual(['a:1', 'b:1 Aborted', 'b:1 Aborted']);
    expect(ends).toEqual(['held Cancelled', 'held Cancelled']);
    turn.answered('a', true);
    expect(log.at(-1)).toBe('c:1');
  });
});

describe('the holder of a turn', () => {
  it('is who began it, since its first prompt, also when its client is gone', () => {
    const { turn, at, send } = recorded();
    expect(turn.holder).toBeUndefined();
    send('a', '1');
    at.now = 2000;
    send('a', '2');
    turn.leave('a');
    expect(turn.holder).toEqual({ client: 'a', since: 1000 });
  });

  it('is who had waited, since its prompt was sent', () => {
    const { turn, at, send } = recorded();
    send('a', '1');
    send('b', '1');
    at.now = 3000;
    turn.answered('a', true);
    expect(turn.holder).toEqual({ client: 'b', since: 3000 });
  });

  it('is who had begun it at another home, or nobody who is known', () => {
    const { turn, at } = recorded();
    turn.goesOn(undefined);
    expect([turn.isTaken, turn.holder]).toEqual([true, undefined]);
    at.now = 4000;
    turn.goesOn('a');
    turn.goesOn('b');
    expect(turn.holder).toEqual({ client: 'a', since: 4000 });
  });
});

describe('who counts', () => {
  it('is told once how each turn ended that ran', () => {
    const { turn, ends } = recorded();
    turn.idle();
    turn.started();
    turn.started();
    turn.idle();
    turn.started();
    turn.end('ServerLost');
    turn.started();
    turn.end('SessionDeleted');
    turn.end('SessionDeleted');
    expect(ends).toEqual(['turn Finished', 'turn ServerLost', 'turn SessionDeleted']);
  });

  it('is told what became of each prompt that had to wait', () => {
    const { turn, ends, send } = recorded(4);
    for (const client of ['a', 'b', 'b', 'c', 'd', 'e']) send(client, '1');
    turn.answered('a', true);
    turn.leave('c');
    turn.end('ServerLost');
    expect(ends).toEqual(['held TooMany', 'held Sent', 'held Sent', 'held ClientGone', 'held ServerLost']);
  });
});
