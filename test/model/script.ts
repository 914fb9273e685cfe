/**
 * What a test may tell the model to answer. A rule answers the requests whose last user message contains `match`,
 * one step a request, in order; a rule that has used its steps up is gone, unless it repeats its last one.
 * Rules are tried newest first, so tests that run side by side stay apart by matching a word only they use.
 */

/** Answers with this text, in one piece or in several with a pause before each. */
export interface TextStep {
  text: string;
  /** Pause in milliseconds before each piece. Default 0, at most 600000. */
  delayMs?: number;
  /** In how many pieces the text is streamed. Default: one a word. */
  chunks?: number;
}

/** Asks the client to run a tool; the next request of the conversation (with the tool's result) takes the next step. */
export interface ToolCallStep {
  toolCall: { name: string; arguments: Record<string, unknown> };
}

/** Refuses with this HTTP status and an OpenAI-style error body. Default of `code`: the status. */
export interface ErrorStep {
  error: { status: number; message?: string; code?: string; retryAfterSeconds?: number };
}

export type Step = TextStep | ToolCallStep | ErrorStep;

export interface Rule {
  match: string;
  steps: Step[];
  /** Keep giving the last step once the others are used. Default false. */
  repeat: boolean;
}

const MAX_DELAY_MS = 600_000;
const MAX_CHUNKS = 10_000;

/** A script a test sent that can't be obeyed; the message names the field. */
export class ScriptError extends Error {}

export class Script {
  readonly #rules: { rule: Rule; used: number }[] = [];

  add(rule: Rule): void {
    this.#rules.unshift({ rule, used: 0 });
  }

  clear(): void {
    this.#rules.length = 0;
  }

  get size(): number {
    return this.#rules.length;
  }

  /** The step for a request with this prompt, or undefined when no rule wants it. */
  next(prompt: string): Step | undefined {
    const index = this.#rules.findIndex(({ rule }) => prompt.includes(rule.match));
    const entry = this.#rules[index];
    if (!entry) return undefined;
    const { rule } = entry;
    const step = rule.steps[Math.min(entry.used, rule.steps.length - 1)];
    entry.used += 1;
    if (entry.used >= rule.steps.length && !rule.repeat) this.#rules.splice(index, 1);
    return step;
  }
}

/** Reads a rule as sent to `POST /script`; throws ScriptError for anything that it doesn't know. */
export function parseRule(input: unknown): Rule {
  const rule = object(input, 'script');
  known(rule, 'script', ['match', 'steps', 'repeat']);
  const { match = '', steps, repeat = false } = rule;
  if (typeof match !== 'string') throw new ScriptError('script.match must be a string');
  if (typeof repeat !== 'boolean') throw new ScriptError('script.repeat must be a boolean');
  if (!Array.isArray(steps) || steps.length === 0) throw new ScriptError('script.steps must be a list of at least one');
  return { match, repeat, steps: steps.map((step, index) => parseStep(step, `script.steps[${index}]`)) };
}

function parseStep(input: unknown, at: string): Step {
  const step = object(input, at);
  if ('toolCall' in step) {
    known(step, at, ['toolCall']);
    const call = object(step['toolCall'], `${at}.toolCall`);
    known(call, `${at}.toolCall`, ['name', 'arguments']);
    const args = object(call['arguments'] ?? {}, `${at}.toolCall.arguments`);
    return { toolCall: { name: string(call['name'], `${at}.toolCall.name`), arguments: args } };
  }
  if ('error' in step) {
    known(step, at, ['error']);
    return { error: parseError(object(step['error'], `${at}.error`), `${at}.error`) };
  }
  known(step, at, ['text', 'delayMs', 'chunks']);
  const parsed: TextStep = { text: string(step['text'], `${at}.text`) };
  if (step['delayMs'] !== undefined) parsed.delayMs = integer(step['delayMs'], `${at}.delayMs`, 0, MAX_DELAY_MS);
  if (step['chunks'] !== undefined) parsed.chunks = integer(step['chunks'], `${at}.chunks`, 1, MAX_CHUNKS);
  return parsed;
}

function parseError(error: Record<string, unknown>, at: string): ErrorStep['error'] {
  known(error, at, ['status', 'message', 'code', 'retryAfterSeconds']);
  const parsed: ErrorStep['error'] = { status: integer(error['status'], `${at}.status`, 400, 599) };
  if (error['message'] !== undefined) parsed.message = string(error['message'], `${at}.message`);
  if (error['code'] !== undefined) parsed.code = string(error['code'], `${at}.code`);
  if (error['retryAfterSeconds'] !== undefined)
    parsed.retryAfterSeconds = integer(error['retryAfterSeconds'], `${at}.retryAfterSeconds`, 0, 3600);
  return parsed;
}

function object(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ScriptError(`${at} must be an object`);
  return value as Record<string, unknown>;
}

// A misspelt field must fail the test that sent it, not silently leave the default answer in place.
function known(value: Record<string, unknown>, at: string, fields: string[]): void {
  const extra = Object.keys(value).find((key) => !fields.includes(key));
  if (extra !== undefined) throw new ScriptError(`${at}.${extra} is unknown; known: ${fields.join(', ')}`);
}

function string(value: unknown, at: string): string {
  if (typeof value !== 'string') throw new ScriptError(`${at} must be a string`);
  return value;
}

function integer(value: unknown, at: string, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
    throw new ScriptError(`${at} must be a whole number from ${min} to ${max}`);
  return value;
}
