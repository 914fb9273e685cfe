// The requests of a client that are not answered: whichever is answered first, the others are known in the order in which they came.
import { describe, expect, it } from '@jest/globals';
import { CALL_BYTES, OpenRequests } from '../../../../src/gateway/relay/clients/open-requests.ts';

const { signal: gone } = new AbortController();

function opened(...ids: (number | string)[]): OpenRequests {
  const open = new OpenRequests();
  for (const id of ids) open.add(request(id));
  return open;
}

function request(id: number | string) {
  return { id, method: 'status.get', params: {}, bytes: 100, isRepeatable: undefined, gone };
}

function idsOf({ all }: OpenRequests): (number | string)[] {
  return all.map(({ id }) => id);
}

describe('the open requests of a client', () => {
  it.each([
    { settled: 1, left: [2, 'three'] },
    { settled: 2, left: [1, 'three'] },
    { settled: 'three', left: [1, 2] },
  ])(
    'are told in the order in which they came, also one that comes after $settled was answered',
    ({ settled, left }) => {
      const open = opened(1, 2, 'three');
      open.settle(settled);
      open.add(request(4));
      expect(idsOf(open)).toEqual([...left, 4]);
      expect(open.has(settled)).toBe(false);
      expect(open.has(4)).toBe(true);
    },
  );

  it('count with their frames, each once', () => {
    const open = opened(1, 2, 3);
    for (const id of [2, 2, 1, 'none']) open.settle(id);
    expect(open).toMatchObject({ size: 1, frameBytes: 100, bytes: 100 + CALL_BYTES });
    open.settle(3);
    expect(open).toMatchObject({ size: 0, frameBytes: 0, bytes: 0, all: [] });
  });

  it('are told apart by the kind of their ids', () => {
    const open = opened(1, '1');
    open.settle('1');
    expect([open.has(1), open.has('1')]).toEqual([true, false]);
  });
});
