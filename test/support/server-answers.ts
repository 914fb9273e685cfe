/** Notes what servers are answered that they have not asked, or a second time. */
import type { Dial } from '../../src/copilot/index.ts';
import { tappedDial } from './tapped-dial.ts';

/** How events begin. They are most of what servers say, and ask nothing. */
const EVENT = '{"jsonrpc":"2.0","method":"session.event"';

/** Of all connections that are made by its {@link dial}. */
export class ServerAnswers {
  /** In sentences. */
  readonly problems: string[] = [];

  /** The same `dial`, watched. */
  dial(dial: Dial): Dial {
    return tappedDial(dial, () => {
      const asked = new Set<unknown>();
      return {
        got: (body) => {
          if (body.toString('latin1', 0, EVENT.length) === EVENT) return;
          const { id, method } = JSON.parse(body.toString()) as { id?: unknown; method?: string };
          if (method !== undefined && id !== undefined) asked.add(id);
        },
        sent: (body) => {
          const { id, method } = JSON.parse(body.toString()) as { id?: unknown; method?: string };
          if (method === undefined && !asked.delete(id))
            this.problems.push(`a server was answered what it had not asked, or a second time: ${body.toString()}`);
        },
      };
    });
  }
}
