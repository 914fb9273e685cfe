/** A session of a client that notes what it did and saw, for the history checker. */
import type { CopilotSession } from '@github/copilot-sdk';
import type { HistoryEvent } from './history.ts';

type Event = Awaited<ReturnType<CopilotSession['getEvents']>>[number];

export function historyEvent(event: Event): HistoryEvent {
  const content = event.type === 'user.message' ? event.data.content : undefined;
  return { id: event.id, type: event.type, content, at: event.timestamp };
}

export class Watched {
  readonly session: CopilotSession;
  readonly seen: { prompts: string[]; failed: string[]; events: HistoryEvent[] } = {
    prompts: [],
    failed: [],
    events: [],
  };

  constructor(session: CopilotSession) {
    this.session = session;
    session.on((event) => void this.seen.events.push(historyEvent(event)));
  }

  async say(prompt: string): Promise<string | undefined> {
    const answer = await this.session.sendAndWait({ prompt }, 90_000);
    this.seen.prompts.push(prompt);
    return answer?.data.content;
  }
}
