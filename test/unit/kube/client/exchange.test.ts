import { describe, expect, it } from '@jest/globals';
import type { Dispatcher } from 'undici';
import type { Ending } from '../../../../src/kube/client/call-context.ts';
import { exchange } from '../../../../src/kube/client/exchange.ts';
import { onAbort } from '../../../../src/kube/clock/abort.ts';

const REQUEST = { method: 'GET', path: '/', origin: 'http://api' } as const;

/** A pool whose one connection the test plays. */
class FakeDispatcher {
  handler: Dispatcher.DispatchHandler = {};
  readonly aborted: unknown[] = [];
  readonly controller = {
    aborted: false,
    paused: false,
    reason: null,
    abort: (reason: unknown) => void this.aborted.push(reason),
    pause: () => undefined,
    resume: () => undefined,
  } as Dispatcher.DispatchController;

  dispatch(_options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.handler = handler;
    return true;
  }

  start(): void {
    this.handler.onRequestStart?.(this.controller, {});
  }

  respond(status: number, ...chunks: string[]): void {
    this.handler.onResponseStart?.(this.controller, status, { 'retry-after': '1' });
    for (const chunk of chunks) this.handler.onResponseData?.(this.controller, Buffer.from(chunk));
  }

  end(): void {
    this.handler.onResponseEnd?.(this.controller, {});
  }
}

function endingOf(signal: AbortSignal): Ending {
  return {
    get reason() {
      return signal.reason as Error | undefined;
    },
    onEnd: (listener) => onAbort(signal, (reason) => listener(reason as Error)),
  };
}

function sent(whenWritten?: () => void) {
  const dispatcher = new FakeDispatcher();
  const abort = new AbortController();
  const response = exchange(dispatcher, { ...REQUEST, ending: endingOf(abort.signal), whenWritten });
  return { dispatcher, abort, response };
}

describe('an exchange', () => {
  it('resolves to the whole response, however it is cut into pieces', async () => {
    const { dispatcher, response } = sent();
    dispatcher.start();
    dispatcher.respond(200, '{"name":', '"ü"}');
    dispatcher.end();
    expect(await response).toEqual({ statusCode: 200, headers: { 'retry-after': '1' }, text: '{"name":"ü"}' });
  });

  it('is not read to its end if it is longer than it may be', async () => {
    const dispatcher = new FakeDispatcher();
    const { signal } = new AbortController();
    const response = exchange(dispatcher, { ...REQUEST, ending: endingOf(signal), maxBodyBytes: 4 });
    dispatcher.start();
    dispatcher.respond(200, '1234');
    expect(dispatcher.aborted).toEqual([]);
    dispatcher.respond(200, '5');
    const [reason] = dispatcher.aborted;
    dispatcher.handler.onResponseError?.(dispatcher.controller, reason as Error);
    await expect(response).rejects.toThrow('the response has more than 4 bytes');
  });

  it('waits for the response that follows a 1xx', async () => {
    const { dispatcher, response } = sent();
    dispatcher.start();
    dispatcher.respond(103);
    dispatcher.respond(201, 'x');
    dispatcher.end();
    expect((await response).statusCode).toBe(201);
  });

  it('that is aborted while it waits for a connection ends at once, and is not sent later', async () => {
    let written = 0;
    const { dispatcher, abort, response } = sent(() => (written += 1));
    abort.abort(new Error('too late'));
    await expect(response).rejects.toThrow('too late');
    dispatcher.start();
    expect([dispatcher.aborted, written]).toEqual([[new Error('too late')], 0]);
  });

  it('that is aborted on its connection ends it', async () => {
    const { dispatcher, abort, response } = sent();
    dispatcher.start();
    dispatcher.respond(200, 'half');
    abort.abort(new Error('too late'));
    await expect(response).rejects.toThrow('too late');
    expect(dispatcher.aborted).toEqual([new Error('too late')]);
  });

  it('that was aborted before is not sent', async () => {
    const dispatcher = new FakeDispatcher();
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(exchange(dispatcher, { ...REQUEST, ending: endingOf(signal) })).rejects.toThrow('too late');
    expect(dispatcher.handler).toEqual({});
  });

  it('whose check fails when it is written lets its pool know', async () => {
    const { dispatcher, response } = sent(() => {
      throw new Error('not the leader');
    });
    // undici ends the request with what the handler throws.
    expect(() => dispatcher.start()).toThrow('not the leader');
    dispatcher.handler.onResponseError?.(dispatcher.controller, new Error('not the leader'));
    await expect(response).rejects.toThrow('not the leader');
  });
});
