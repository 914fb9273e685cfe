import { beforeEach, describe, expect, it } from '@jest/globals';
import { duplexPair, type Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { ClientSocket, LINGER_BYTES } from '../../../../src/gateway/client/socket.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const LINGER_MS = 1000;

let clock: FakeClock;
/** Its two ends. */
let here: Duplex;
let there: Duplex;
let socket: ClientSocket;
/** What was read of the client, and what that has read. */
let read: string;
let readThere: string;

beforeEach(() => {
  clock = new FakeClock();
  [here, there] = duplexPair();
  [read, readThere] = ['', ''];
  here.on('data', (chunk: Buffer) => (read += chunk.toString()));
  here.on('close', () => socket.gone());
  there.on('data', (chunk: Buffer) => (readThere += chunk.toString()));
  socket = new ClientSocket(here, clock, LINGER_MS);
});

async function carry(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await setImmediate();
}

/** Closes it while so many bytes wait to be written, of which the last are these. */
function close(rest = '', queuedBytes = rest.length): void {
  socket.close({ queuedBytes, flush: () => void here.write(rest) });
}

describe('a socket', () => {
  it('is read when nobody holds it up any more', async () => {
    socket.setReading({ relay: false });
    socket.setReading({ admission: false });
    there.write('a');
    await carry();
    expect(read).toBe('');
    socket.setReading({ relay: true });
    await carry();
    expect(read).toBe('');
    socket.setReading({ admission: true });
    await carry();
    expect(read).toBe('a');
  });
});

describe('a socket that is closed', () => {
  it('writes what is left, then its end, and is gone with the end of the client', async () => {
    close('rest');
    await carry();
    expect([readThere, there.readableEnded, here.destroyed]).toEqual(['rest', true, false]);
    there.end();
    await carry();
    expect([here.destroyed, clock.pendingTimers]).toEqual([true, 0]);
  });

  it('is read to its end, although somebody held it up', async () => {
    socket.setReading({ relay: false });
    there.write('more');
    close();
    socket.setReading({ relay: false });
    there.end();
    await carry();
    expect([read, here.destroyed]).toEqual(['more', true]);
  });

  it('is destroyed a moment later if the client does not end', async () => {
    close();
    await clock.advance(LINGER_MS - 1);
    expect(here.destroyed).toBe(false);
    await clock.advance(1);
    expect(here.destroyed).toBe(true);
  });

  it('is destroyed at once if the client has not been reading', async () => {
    close('rest', LINGER_BYTES + 1);
    await carry();
    expect([readThere, here.destroyed, clock.pendingTimers]).toEqual(['', true, 0]);
  });

  it('takes nothing any more if it broke', async () => {
    const errors: unknown[] = [];
    here.on('error', (error) => errors.push(error));
    here.destroy();
    close('rest');
    await carry();
    expect([errors, clock.pendingTimers]).toEqual([[], 0]);
  });
});
