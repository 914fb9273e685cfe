/** Requests of the server to its clients: which clients are asked, and what their answers come to. */
import { isObject } from '../../../copilot/index.ts';
import { OBSERVES } from '../journal/events.ts';
import type { ClientAnswer, Declaration } from '../model.ts';
import { EVENT_LINES, type EventLine } from '../questions/events.ts';
import { REQUEST_LINES, type DeclaredBy, type RequestLine } from '../questions/requests.ts';

type Declares = (declaration: Declaration, params: Readonly<Record<string, unknown>>) => boolean;

/** Who is asked. */
export interface RequestKind {
  /** `All`: everyone who declared it. `Last`: the last one who did, and the one before it when that one is gone. */
  readonly audience: 'All' | 'Last';
  /** Whose it is: a hook's; a person's, that of the turn first where several users share a session; or anything else's. */
  readonly asks: 'Hook' | 'Person' | 'Program';
  /** The name of what a client declares. */
  readonly by: DeclaredBy;
  /** Whether it is a part of a turn, and ends with it. */
  readonly isOfTurn: boolean;
  /** Whether a client with this declaration answers such a request. */
  readonly declares: Declares;
}

/** What the answers so far come to. */
export type Settlement = { readonly kind: 'Wait' } | { readonly kind: 'Answer'; readonly answer: ClientAnswer };

const INTERNAL_ERROR = -32603;
const NOBODY = 'no client was there to answer in time';
const FAILED = 'A hook that should have decided on this failed.';
const UNATTENDED = 'No client was there to decide on this in time.';

const DECLARES: Readonly<Record<Exclude<DeclaredBy, `request${string}`>, Declares>> = {
  hooks: ({ hooks }) => hooks === true,
  transform: hasTransform,
  tokenProvider: hasTokenProvider,
  tokenRegistration: ({ gitHubTokenProviderRegistrationId: id }, { registrationId }) =>
    id !== undefined && id === registrationId,
  canvases: (declaration) => declaration['canvases'] !== undefined,
  anyone: () => true,
};

const KINDS: ReadonlyMap<string, RequestKind> = new Map(REQUEST_LINES.flatMap(kindsOf));

/** All of these names; at last the flag by which a client says that it answers whatever is asked by events. */
const NAMES: readonly string[] = [
  ...new Set([...[...KINDS.values()].map(({ by }) => by), ...EVENT_LINES.flatMap(flagOf)]),
  OBSERVES,
];

/** Requests of servers that clients are asked. */
export const ASKED_METHODS: readonly string[] = [...KINDS.keys()];

/** How a request is routed; undefined: clients are never asked this. */
export function requestKindOf(method: string): RequestKind | undefined {
  return KINDS.get(method);
}

function flagOf([, , , attendedBy]: EventLine): string[] {
  return attendedBy.startsWith('request') ? [attendedBy] : [];
}

function kindsOf([method, audience, by, lifetime, reason]: RequestLine): [string, RequestKind][] {
  if ((audience !== 'All' && audience !== 'Last') || by === undefined) return [];
  const asks = reason === 'Hook' || reason === 'Person' ? reason : 'Program';
  const isOfTurn = lifetime === 'Turn';
  return [[method, { audience, asks, by, isOfTurn, declares: declares(by) }]];
}

function declares(by: DeclaredBy): Declares {
  return isDeclared(by) ? DECLARES[by] : (declaration) => declaration[by] === true;
}

function isDeclared(by: DeclaredBy): by is keyof typeof DECLARES {
  return Object.hasOwn(DECLARES, by);
}

/** The names of what a client declares with which it says that it answers; of tokens without those that it answers for. */
export function declaredBy(declaration: Declaration): readonly string[] {
  const { gitHubTokenProviderRegistrationId: registrationId } = declaration;
  return NAMES.filter((by) => (isName(by) ? declares(by)(declaration, { registrationId }) : declaration[by] === true));
}

function isName(by: string): by is DeclaredBy {
  return by.startsWith('request') || Object.hasOwn(DECLARES, by);
}

/**
 * What the answers come to when `waiting` clients have yet to answer. Of hooks a denial counts at once, and an error as one,
 * because the server runs the tool after an error. Of everything else the first answer that is no error counts.
 */
export function settle(
  method: string,
  params: Readonly<Record<string, unknown>>,
  answers: readonly ClientAnswer[],
  waiting: number,
): Settlement {
  return method === 'hooks.invoke' ? settleHook(params, answers, waiting) : settleOther(answers, waiting);
}

/** The answer to a hook by which nothing is decided: what SDKs send of one that returns nothing. */
export const NO_OPINION: ClientAnswer = { result: {} };

/** The answer to a request that nobody can answer. */
export function unattended(method: string, params: Readonly<Record<string, unknown>>): ClientAnswer {
  if (method !== 'hooks.invoke') return { error: { code: INTERNAL_ERROR, message: NOBODY } };
  return decidesOnTool(params) ? denial(UNATTENDED) : NO_OPINION;
}

function settleOther(answers: readonly ClientAnswer[], waiting: number): Settlement {
  const good = answers.find((answer) => 'result' in answer);
  if (good !== undefined) return { kind: 'Answer', answer: good };
  const [failed] = answers;
  return waiting > 0 || failed === undefined ? { kind: 'Wait' } : { kind: 'Answer', answer: failed };
}

function settleHook(
  params: Readonly<Record<string, unknown>>,
  answers: readonly ClientAnswer[],
  waiting: number,
): Settlement {
  const denied = answers.find(isDenial);
  if (denied !== undefined) return { kind: 'Answer', answer: denied };
  const failed = answers.find((answer) => 'error' in answer);
  if (failed !== undefined && decidesOnTool(params)) return { kind: 'Answer', answer: denial(FAILED) };
  if (waiting > 0 || answers.length === 0) return { kind: 'Wait' };
  const outputs = answers.map(outputOf).filter((output) => output !== undefined);
  if (outputs.length === 0) return { kind: 'Answer', answer: failed ?? NO_OPINION };
  return { kind: 'Answer', answer: { result: { output: Object.assign({}, ...outputs.toSorted(asking)) as object } } };
}

/** A wish to ask the user is stronger than a permission, so it comes last. */
function asking(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): number {
  return Number(a['permissionDecision'] === 'ask') - Number(b['permissionDecision'] === 'ask');
}

function decidesOnTool({ hookType }: Readonly<Record<string, unknown>>): boolean {
  return hookType === 'preToolUse';
}

function denial(permissionDecisionReason: string): ClientAnswer {
  return { result: { output: { permissionDecision: 'deny', permissionDecisionReason } } };
}

function isDenial(answer: ClientAnswer): boolean {
  return outputOf(answer)?.['permissionDecision'] === 'deny';
}

function outputOf(answer: ClientAnswer): Record<string, unknown> | undefined {
  if (!('result' in answer) || !isObject(answer.result)) return undefined;
  const { output } = answer.result;
  return isObject(output) ? output : undefined;
}

/** Sections that are to be transformed, as the SDKs put it: `sections: {NAME: {action: "transform"}}`. */
function hasTransform({ systemMessage }: Declaration): boolean {
  if (!isObject(systemMessage) || !isObject(systemMessage['sections'])) return false;
  return Object.values(systemMessage['sections']).some(
    (section) => isObject(section) && section['action'] === 'transform',
  );
}

function hasTokenProvider({ provider, providers }: Declaration): boolean {
  const all: readonly unknown[] = [provider, ...(Array.isArray(providers) ? providers : [])];
  return all.some((each) => isObject(each) && each['hasBearerTokenProvider'] === true);
}
