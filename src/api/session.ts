/** CopilotSession: the schema is the source of the types below, of its CRD and of docs/api.md, as tenant.ts for tenants. */
import { z } from 'zod';
import { condition, duration, listMap, objectName, withRules } from './fields.ts';
import { TURN_RULES } from './names.ts';
import { SessionPhase } from './session-conditions.ts';
import { MAX_SESSION_ID_LENGTH, SESSION_ID_PATTERN } from './session-id.ts';

/** A user's name: no spaces and control characters, so that it fits a log or a header, and no comma, since a list is stored as one string. */
const USER = /^[!-+\--~]+$/;
const MAX_USER_LENGTH = 256;
/** As many as fit into one label of the session, commas included: a server accepts 16 KiB. */
const MAX_PARTICIPANTS = 60;

/** CEL: the value of an optional field, or '' without it. */
const orEmpty = (self: string, field: string) => `(has(${self}.${field}) ? ${self}.${field} : '')`;

function fixed(field: string) {
  return {
    rule: `${orEmpty('self', field)} == ${orEmpty('oldSelf', field)}`,
    message: `spec.${field} is immutable: it identifies the session. Create a new CopilotSession instead`,
    fieldPath: `.${field}`,
  };
}

const percent = (field: string) => z.int().min(1).max(99).exactOptional().describe(field);

const infiniteSessions = withRules(
  z.object({
    enabled: z
      .boolean()
      .default(true)
      .describe(
        'Whether the server compacts the conversation before it exceeds the context window of the model. Without it a long session ends with an error of the model.',
      ),
    backgroundCompactionThreshold: percent(
      'Percentage of the context window at which the server begins to compact, while turns go on. Default: 80.',
    ),
    bufferExhaustionThreshold: percent(
      'Percentage of the context window at which turns wait until the compaction has ended. Default: 95.',
    ),
  }),
  {
    rule: '(has(self.backgroundCompactionThreshold) ? self.backgroundCompactionThreshold : 80) <= (has(self.bufferExhaustionThreshold) ? self.bufferExhaustionThreshold : 95)',
    message:
      'spec.infiniteSessions.backgroundCompactionThreshold (default 80) must not be greater than bufferExhaustionThreshold (default 95): lower the first or raise the second',
    fieldPath: '.backgroundCompactionThreshold',
  },
);

/** Where the gateway puts a field into sessions, for `kubectl explain`. */
const GATEWAY_ONLY =
  'Clients that attach while the session is loaded do not change it. It has no effect where `status.access` of the tenant is Direct, or where the resource does not hold the session.';

const collaboration = z.object({
  turns: z
    .enum(TURN_RULES)
    .exactOptional()
    .describe(
      'What becomes of a prompt while a turn of another user runs. Queue: it waits for its turn in the order of arrival, its client is told its place, and an abort of that client takes it back. Refuse: it gets an error that says who uses the session, and since when. With either, what the server asks a person is asked of the user of the turn first. A change applies to the next prompt. It has no effect between clients of one user, or that state none, where `status.access` of the tenant is Direct, or where the resource does not hold the session.',
    ),
});

/** What users write. */
export const sessionSpec = withRules(
  z.object({
    tenantRef: z
      .object({ name: objectName().describe('Name of the CopilotTenant, in the same namespace.') })
      .describe('The tenant whose servers have the session. Immutable.'),
    sessionId: z
      .string()
      .min(1)
      .max(MAX_SESSION_ID_LENGTH)
      .regex(new RegExp(SESSION_ID_PATTERN))
      .exactOptional()
      .describe(
        'Id that clients give the session when they create it: letters, digits, `_` and `-`. Default: the name of the resource. Immutable.',
      ),
    owner: z
      .string()
      .min(1)
      .max(MAX_USER_LENGTH)
      .regex(USER)
      .exactOptional()
      .describe(
        'Name of the user who owns the session, without spaces and commas. It is stored with the session on the server the next time the session is loaded. If another owner is stored already, the resource does not hold the session (`OwnedByAnother`): it neither changes nor deletes it. The same holds for a resource without an owner. Immutable.',
      ),
    participants: z
      .array(z.string().min(1).max(MAX_USER_LENGTH).regex(USER))
      .max(MAX_PARTICIPANTS)
      .meta({ 'x-kubernetes-list-type': 'set' })
      .exactOptional()
      .describe(
        'Names of further users of the session, in the same form. They are stored with the session on the server.',
      ),
    model: z
      .string()
      .min(1)
      .max(256)
      .regex(/^\S+$/)
      .exactOptional()
      .describe(
        `Name of the model of the session, in place of what clients state when they create or resume it, and of the model of the tenant. A changed one applies the next time a client resumes the session while it is not loaded. A client may switch to another one, which stays until then. ${GATEWAY_ONLY}`,
      ),
    infiniteSessions: infiniteSessions
      .exactOptional()
      .describe(
        `How the session is kept within the context window of its model, in place of what clients state. A changed one applies the next time the session is loaded. Default: what clients state, else that of the server, which compacts at 80 %. ${GATEWAY_ONLY}`,
      ),
    collaboration: collaboration
      .exactOptional()
      .describe(
        'How several users work on the session at the same time. Default: their prompts wait for each other in silence, and a question is asked of all of them at once.',
      ),
    lifecycle: z
      .enum(['Persistent', 'Ephemeral'])
      .default('Persistent')
      .describe(
        'Persistent: the data is deleted when its `ttl`, if any, has passed, and the resource stays to report that. Ephemeral: the resource is deleted with the data. Both happen after the margin described at `ttl`.',
      ),
    ttl: duration({ field: 'spec.ttl', min: '1m', max: '87600h' })
      .exactOptional()
      .describe(
        'Time to live: how long after its last activity the session is deleted, but not earlier than that long after the creation of the resource. A changed value applies at once, so a shorter one may delete an idle session within seconds. Default: 1h for Ephemeral, none for Persistent. The deletion follows a margin later, because clocks differ: as long as the ttl, and at most ten minutes. So 1m means after 2 minutes, and 1h after 70. It replaces the `spec.sessions.ttl` of the tenant when it is longer. While the tenant is suspended or the server does not answer, the deletion waits.',
      ),
    deletionPolicy: z
      .enum(['Delete', 'Retain'])
      .default('Delete')
      .describe(
        "What happens to the session's data when the resource is deleted. Delete: it is deleted too, even while the tenant is suspended. Retain: it stays on the server, subject to the tenant's `spec.sessions`. In either case a `cli` server keeps users' text in its `session-store.db` until its pod is deleted, unless clients create their sessions with `enableSessionStore: false`; no setting of the server prevents it.",
      ),
  }),
  {
    rule: 'self.tenantRef.name == oldSelf.tenantRef.name',
    message: 'spec.tenantRef is immutable: it identifies the session. Create a new CopilotSession instead',
    fieldPath: '.tenantRef',
  },
  fixed('sessionId'),
  fixed('owner'),
);

const sessionStatus = z.object({
  observedGeneration: z
    .int()
    .min(0)
    .exactOptional()
    .describe('Value of metadata.generation that this status was computed from.'),
  conditions: listMap(condition, 'type', 8)
    .exactOptional()
    .describe('Ready, Reconciling and Stalled, each with a reason and a message.'),
  phase: z
    .enum(Object.values(SessionPhase))
    .exactOptional()
    .describe(
      'Pending: no turn yet. Idle: it has had turns and none is running. Active: a turn is running. Expired: its time to live has passed and its data was deleted. Lost: its data is gone, and the operator did not delete it.',
    ),
  sessionId: z.string().max(253).exactOptional().describe('Id of the session on the server.'),
  server: z
    .string()
    .max(63)
    .exactOptional()
    .describe(
      'Name of the server whose volume holds the session. Where servers share a volume: the one that has it in memory, or had it last, as the gateway says every half minute.',
    ),
  lastActivityTime: z.iso
    .datetime()
    .exactOptional()
    .describe('Last activity of a turn. It is written when a turn ends, otherwise at most twice a minute.'),
  sizeBytes: z.int().min(0).exactOptional().describe('Size of the session on the volume, in bytes.'),
  usage: z
    .object({
      turns: z.int().min(0).describe('Prompts that were sent.'),
      inputTokens: z.int().min(0).describe('Tokens sent to models, as the models counted them.'),
      outputTokens: z.int().min(0).describe('Tokens received from models, as the models counted them.'),
    })
    .exactOptional()
    .describe(
      'What the session has used so far, as last known. Absent before its first turn, until its journal (`events.jsonl`) was read, and while that cannot be read or has more than 32 MiB or 32,000 events since the last total, which the server writes when it unloads the session.',
    ),
  lock: z
    .object({
      holder: z
        .string()
        .max(MAX_USER_LENGTH)
        .describe(
          'The user whose turn runs, or was begun, as the gateway was told. What a terminal would not show of the name is replaced.',
        ),
      since: z.iso.datetime().describe('Since when the user holds it.'),
      epoch: z
        .int()
        .min(0)
        .describe(
          'Number of the lock: it rises whenever the turn passes to another client, as long as the same replica of the gateway serves the session. After that it begins anew.',
        ),
    })
    .exactOptional()
    .describe(
      'Whose turn it is, of a session with `spec.collaboration.turns`, as the gateway has said last: written at most twice a minute, so it may be a minute old, and short turns are not seen. Absent: nobody holds the turn, or nobody who has stated a user.',
    ),
  expiresAt: z.iso
    .datetime()
    .exactOptional()
    .describe(
      'When the session expires unless it is used before; absent when it never does. It is deleted after a margin for clocks that differ: as long as its ttl, at most ten minutes. It may be in the past: while the tenant is suspended or the server does not answer, the deletion waits.',
    ),
});
export type CopilotSessionStatus = z.output<typeof sessionStatus>;

export const session = z.object({
  spec: sessionSpec.describe('Which session it is, and how long it is kept.'),
  status: sessionStatus.exactOptional().describe('The observed state, written by the operator.'),
});

/** The spec as the operator reads it: with defaults. */
export type CopilotSessionSpec = z.output<typeof sessionSpec>;
/** The spec as users write it. */
export type CopilotSessionSpecInput = z.input<typeof sessionSpec>;

/** The resource; the envelope is a parameter, as with CopilotTenant. */
export type CopilotSession<Envelope> = Envelope & { spec: CopilotSessionSpec; status?: CopilotSessionStatus };
