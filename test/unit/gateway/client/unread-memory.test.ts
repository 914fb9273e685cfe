import { beforeEach, describe, expect, it } from '@jest/globals';
import { UnreadMemory, unreadLimits, type Unread } from '../../../../src/gateway/client/unread-memory.ts';

const KIB = 1024;

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

  it.each([
    [1, 64 * KIB],
    [1_000, 64 * KIB],
    [20_000, 3_355],
    [1_000_000_000, 0],
  ])('leaves no more than half of the bound uncounted of %d clients', (clients, free) => {
    const limits = unreadLimits(128 * 1024 * KIB, clients);
    expect(limits).toEqual({ total: 128 * 1024 * KIB, free });
    expect(limits.free * clients).toBeLessThanOrEqual(limits.total / 2);
  });

  it('closes clients of the tenant with the most, also where each of its many clients has little', () => {
    const clients = 1_000;
    memory = new UnreadMemory(unreadLimits(1_000 * KIB, clients));
    for (let n = 0; n < clients / 4; n += 1) queue(client(`small-${n}`, 'team/many'), 3 * KIB);
    queue(client('large', 'team/one'), 300 * KIB);
    expect([cut.length > 0, cut.filter((name) => !name.startsWith('small-'))]).toEqual([true, []]);
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
