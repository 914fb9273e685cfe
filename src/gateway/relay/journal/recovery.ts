/** How the turn of a session goes on that was cut with its server: decided by the journal alone (docs/adr/0036-fail-over.md). */
import type { Fact } from './facts.ts';

/** A message of a prompt that the server has acknowledged and not finished, or may have got. */
export interface CutMessage {
  /** Under which the server may have it; none: it has not answered. */
  readonly ids: ReadonlySet<string>;
  /** Digest of its text. */
  readonly content: string;
  /** Where in the trail its `user.message` is; undefined: it was not seen. */
  readonly seenAt: number | undefined;
  /** The place in the trail when it was last sent without an answer; undefined: each time it was sent was answered. */
  readonly unansweredSince: number | undefined;
}

/** A fact of the journal. */
export interface JournalFact {
  /** Its place in the trail; undefined: it was not delivered yet. */
  readonly position: number | undefined;
  readonly fact: Fact;
}

/** What is known after the session was loaded again. */
export interface CutTurn {
  /** The messages of each prompt, in the order in which they were sent. */
  readonly prompts: readonly (readonly CutMessage[])[];
  /** The last facts of the journal, oldest first. */
  readonly journal: readonly JournalFact[];
  /** The place in the trail of the last event that the journal has; 0: none. */
  readonly lastKept: number;
  /** Facts that were delivered and that the journal does not have. */
  readonly lost: readonly Fact[];
  /** Whether the server says that it works on the session, or waits for an answer of its clients. */
  readonly hasActiveWork: boolean;
  /** Whether the server that was lost had taken an abort of it; default: no. */
  readonly wasAborted?: boolean;
}

/** What is to be done. */
export interface RecoveryPlan {
  /** For each prompt, under which id the journal has each of its messages; undefined: it has to be sent again. */
  readonly found: readonly (readonly (string | undefined)[])[];
  /** Whether the turn has to be begun again for the prompts that the journal has. */
  readonly runs: boolean;
  /** Whether nothing is left to do: all prompts have their end in the journal. */
  readonly isOver: boolean;
}

/** The plan. No message is sent a second time that the journal has, and none is left out that it does not have. */
export function planRecovery(cut: CutTurn): RecoveryPlan {
  const found = findMessages(cut);
  const isSentAgain = found.flat().includes(undefined);
  // A turn that clients were told is aborted must not begin again because the journal has not been told.
  const wasEnded = cut.wasAborted === true || cut.lost.some(({ kind }) => kind === 'End');
  const runs = isOpen(cut.journal) && !wasEnded && !cut.hasActiveWork;
  return { found, runs, isOver: !runs && !cut.hasActiveWork && !isSentAgain };
}

function findMessages({ prompts, journal, lastKept }: CutTurn): (string | undefined)[][] {
  const durable = journal.flatMap(({ position, fact }) => (fact.kind === 'Prompt' ? [{ ...fact, position }] : []));
  const ids = new Set(durable.map(({ messageId }) => messageId));
  const byId = ({ ids: own, seenAt = Infinity }: CutMessage): string | undefined =>
    [...own].find((id) => ids.has(id)) ?? (seenAt <= lastKept ? [...own][0] : undefined);
  const found = prompts.map((messages) => messages.map(byId));
  const taken = new Set([...prompts.flat().flatMap((message) => [...message.ids]), ...found.flat()]);
  // A message whose acknowledgement was lost is known by its text only, among what came after it was sent.
  return found.map((row, prompt) =>
    row.map((id, index) => {
      const message = prompts[prompt]?.[index];
      const since = message?.unansweredSince;
      if (id !== undefined || since === undefined) return id;
      const same = durable.find(
        ({ messageId, content, position = Infinity }) =>
          position > since && content === message?.content && !taken.has(messageId),
      );
      taken.add(same?.messageId);
      return same?.messageId;
    }),
  );
}

/** Whether the last prompt of the journal has no end in it. */
function isOpen(journal: readonly JournalFact[]): boolean {
  const last = journal.findLast(({ fact }) => fact !== undefined)?.fact.kind;
  return last === 'Prompt' || last === 'Work';
}
