import { beforeEach, describe, expect, it } from '@jest/globals';
import { UnreadMemory, type Unread } from '../../../../src/gateway/client/unread-memory.ts';

let cut: string[];
let memory: UnreadMemory;

beforeEach(() => {
  cut = [];
  memory = new UnreadMemory({ total: 1_000, free: 10 });
});

interface Client extends Unread {
  queuedBytes: number;
}

const client = (name: string, tenant = 'team/acme'): Client => ({ tenant, queuedBytes: 0, cut: () => cut.push(name) });

function queue(each: Client, bytes: number): void {
  each.queuedBytes += bytes;
  memory.note(each);
}

describe('the memory for what clients have yet to read', () => {
  it('closes the client with the most, where all of them together have too much', () => {
    const [a, b, c] = [client('a'), client('b'), client('c')];
    queue(a, 300);
    queue(b, 500);
    queue(c, 200);
    expect([cut, memory.total]).toEqual([[], 1_000]);
    queue(a, 1);
    expect([cut, memory.total]).toEqual([['b'], 501]);
  });

  it('closes one of the tenant with the most, though a client of another tenant has more than each of its clients', () => {
    queue(client('large', 'team/b'), 300);
    for (const name of ['a1', 'a2', 'a3']) queue(client(name, 'team/a'), 200);
    queue(client('a4', 'team/a'), 201);
    expect([cut, memory.total]).toEqual([['a4'], 900]);
  });

  it('closes nobody for what has been read meanwhile', () => {
    const [fast, slow] = [client('fast'), client('slow')];
    queue(fast, 900);
    fast.queuedBytes = 100;
    queue(slow, 800);
    expect([cut, memory.total]).toEqual([[], 900]);
  });

  it('closes one that alone has too much, and as many as it takes', () => {
    const large = client('large');
    queue(large, 1_001);
    expect([cut, memory.total]).toEqual([['large'], 0]);
  });

  it('counts no client with little to read, and none that is gone', () => {
    for (let n = 0; n < 1_000; n += 1) queue(client(String(n)), 10);
    const gone = client('gone');
    queue(gone, 900);
    memory.forget(gone);
    memory.forget(gone);
    expect([cut, memory.total]).toEqual([[], 0]);
  });
});
