/** Shows a test what a connection to a server carries, frame by frame. */
import { FrameDecoder, type Dial } from '../../src/copilot/index.ts';

/** Tests carry more than clients may. */
const LIMITS = { maxBodyBytes: 2 ** 30 };

/** Of one connection. */
export interface Tap {
  sent(body: Buffer): void;
  got(body: Buffer): void;
  closed?(): void;
}

/** Connects as `dial` does. `tap` is called for each connection. */
export function tappedDial(dial: Dial, tap: () => Tap): Dial {
  return (address, events) => {
    const told = tap();
    const sent = new FrameDecoder((body) => told.sent(body), LIMITS);
    const got = new FrameDecoder((body) => told.got(body), LIMITS);
    const wire = dial(address, {
      connected: () => events.connected(),
      drained: () => events.drained(),
      data: (chunk) => {
        got.push(chunk);
        events.data(chunk);
      },
      closed: (error) => {
        told.closed?.();
        events.closed(error);
      },
    });
    return {
      pause: () => wire.pause(),
      resume: () => wire.resume(),
      destroy: () => wire.destroy(),
      write: (frame) => {
        sent.push(Buffer.from(frame));
        return wire.write(frame);
      },
    };
  };
}
