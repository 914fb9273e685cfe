/** CopilotSession: the schema is the source of the types below, of its CRD and of docs/api.md, as tenant.ts for tenants. */
import { z } from 'zod';
import { condition, duration, listMap, objectName, withRules } from './fields.ts';
import { SessionPhase } from './session-conditions.ts';
import { MAX_SESSION_ID_LENGTH, SESSION_ID_PATTERN } from './session-id.ts';

/**
 * Characters of a name that means a user: no spaces and no control characters, so that it can stand in a log or a header,
 * and no comma, since a list of them is stored as one string.
 */
const USER = /^[!-+\--~]+$/;
const MAX_USER_LENGTH = 256;
/** As many as fit into one string beside the session's data, commas included: a server takes 16 KiB. */
const MAX_PARTICIPANTS = 60;

/** CEL: the value of an optional field, or '' without it. */
const orEmpty = (self: string, field: string) => `(has(${self}.${field}) ? ${self}.${field} : '')`;

function fixed(field: string) {
  return {
    rule: `${orEmpty('self', field)} == ${orEmpty('oldSelf', field)}`,
    message: `spec.${field} is immutable: it says which session this is. Make a new CopilotSession instead`,
    fieldPath: `.${field}`,
  };
}

/** What users write. */
export const sessionSpec = withRules(
  z.object({
    tenantRef: z
      .object({ name: objectName().describe('Name of the CopilotTenant, in the same namespace.') })
      .describe('The tenant whose servers the session lives on. Immutable.'),
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
        'User that the session belongs to, by a name without spaces and commas. It is stored beside the session on the server when that is next in memory. Where another owner is stored already, the resource does not hold the session (`OwnedByAnother`): it neither changes nor deletes it. Without an owner the resource claims none: it leaves the one that is stored, and is never refused. Immutable.',
      ),
    participants: z
      .array(z.string().min(1).max(MAX_USER_LENGTH).regex(USER))
      .max(MAX_PARTICIPANTS)
      .meta({ 'x-kubernetes-list-type': 'set' })
      .exactOptional()
      .describe(
        'Further users of the session, by names of the same kind. They are stored beside the session on the server.',
      ),
    lifecycle: z
      .enum(['Persistent', 'Ephemeral'])
      .default('Persistent')
      .describe(
        'Persistent: the session stays until its `ttl` has passed or the resource is deleted, and the resource stays to tell of it. Ephemeral: when its `ttl` has passed, the resource is deleted with the data. Both happen after the margin that `ttl` tells of.',
      ),
    ttl: duration({ field: 'spec.ttl', min: '1m', max: '87600h' })
      .exactOptional()
      .describe(
        'How long after its last activity the session is deleted; before its first turn, after the creation of the resource. Default: 1h for Ephemeral, none for Persistent. The deletion comes a margin later, since clocks differ: as long as the ttl, and at most ten minutes. So 1m means after 2 minutes, and 1h after 70. It counts instead of the `spec.sessions.ttl` of the tenant when it is longer. While the tenant is suspended or its server is silent nothing is deleted by it; that is made good when the server answers again.',
      ),
    deletionPolicy: z
      .enum(['Delete', 'Retain'])
      .default('Delete')
      .describe(
        "What becomes of the session's data when the resource is deleted. Delete: it is deleted too, also while the tenant is suspended. Retain: it stays on the server, under the tenant's own `spec.sessions`. Deleted or not, a `cli` server keeps users' text in the rows of its `session-store.db` until its pod goes, unless clients make their sessions with `enableSessionStore: false`; no setting of the server prevents it.",
      ),
  }),
  {
    rule: 'self.tenantRef.name == oldSelf.tenantRef.name',
    message: 'spec.tenantRef is immutable: it says which session this is. Make a new CopilotSession instead',
    fieldPath: '.tenantRef',
  },
  fixed('sessionId'),
  fixed('owner'),
);

export const sessionStatus = z.object({
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
      'Pending: no turn yet. Idle: it has had turns and none is running. Active: a turn is running. Expired: its time was up and its data was deleted. Lost: it was seen and its data is gone.',
    ),
  sessionId: z.string().max(253).exactOptional().describe('Id of the session on the server.'),
  server: z.string().max(63).exactOptional().describe('Name of the server whose volume holds the session.'),
  lastActivityTime: z.iso
    .datetime()
    .exactOptional()
    .describe('When a turn last began, went on or ended. It is written when a turn ends and at most twice a minute.'),
  sizeBytes: z.int().min(0).exactOptional().describe('Bytes that the session takes on the volume.'),
  usage: z
    .object({
      turns: z.int().min(0).describe('Prompts that were sent.'),
      inputTokens: z.int().min(0).describe('Tokens that went to models, as the models counted them.'),
      outputTokens: z.int().min(0).describe('Tokens that came from models, as the models counted them.'),
    })
    .exactOptional()
    .describe(
      'What the session has used so far; what was told last stays. Absent before its first turn, until its server was asked for it, and while its journal cannot be read, or has more than 32 MiB or 32,000 events since a total of the server, which writes one when the session leaves its memory.',
    ),
  expiresAt: z.iso
    .datetime()
    .exactOptional()
    .describe(
      'When the time of the session is up unless it is used before; absent when never. It is deleted a margin for clocks that differ after that: as long as its ttl, at most ten minutes. It may lie in the past: while the tenant is suspended or its server is silent, the deletion waits until the server answers again.',
    ),
});
export type CopilotSessionStatus = z.output<typeof sessionStatus>;

export const session = z.object({
  spec: sessionSpec.describe('Which session it is, and how long it is kept.'),
  status: sessionStatus.exactOptional().describe('What the operator observed. Written by it alone.'),
});

/** The spec as the operator reads it: with defaults. */
export type CopilotSessionSpec = z.output<typeof sessionSpec>;
/** The spec as people write it. */
export type CopilotSessionSpecInput = z.input<typeof sessionSpec>;

/** The resource; the envelope is a parameter, as with CopilotTenant. */
export type CopilotSession<Envelope> = Envelope & { spec: CopilotSessionSpec; status?: CopilotSessionStatus };
