import { describe, expect, it } from '@jest/globals';
import { getEventListeners } from 'node:events';
import { onAbort } from '../../../../src/kube/clock/abort.ts';

describe('a listener of an abort', () => {
  it('is called once, with the reason', () => {
    const controller = new AbortController();
    const reasons: unknown[] = [];
    using _listener = onAbort(controller.signal, (reason) => reasons.push(reason));
    expect(reasons).toEqual([]);
    controller.abort('stopped');
    controller.abort('again');
    expect(reasons).toEqual(['stopped']);
  });

  it('is called at once when the signal has aborted already', () => {
    const reasons: unknown[] = [];
    using _listener = onAbort(AbortSignal.abort('stopped'), (reason) => reasons.push(reason));
    expect(reasons).toEqual(['stopped']);
  });

  it('leaves nothing on the signal after dispose, and is not called any more', () => {
    const controller = new AbortController();
    const reasons: unknown[] = [];
    {
      using _listener = onAbort(controller.signal, (reason) => reasons.push(reason));
      expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    }
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    controller.abort();
    expect(reasons).toEqual([]);
  });

  it('needs no signal', () => {
    expect(() => onAbort(undefined, () => undefined)[Symbol.dispose]()).not.toThrow();
  });
});
