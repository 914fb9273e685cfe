/** Which method of clients does what, and with which parameters: the tables, as the relay asks them. */
import type { MethodAnswer, MethodRewrite, MethodRule, MethodRules } from '../model.ts';
import type { MethodDecision, MethodLine, MethodProfile } from './line.ts';
import { METHOD_REASONS } from './reasons.ts';
import { METHOD_LINES } from './lines.ts';
import { checkParams } from './param-rules.ts';
import { isRepeatable } from './repeatable.ts';
import { FORCED } from './forced.ts';
import { isTrusted } from './trusted.ts';

const REWRITES: Readonly<Record<MethodRewrite, true>> = {
  attach: true,
  detach: true,
  send: true,
  abort: true,
  delete: true,
  keep: true,
  own: true,
  login: true,
};
const ANSWERS: Readonly<Record<MethodAnswer, true>> = { connect: true, ping: true };

const UNKNOWN: MethodRule = { action: 'deny', reason: METHOD_REASONS.Unknown };

/** The rules of a profile. A method without a line is denied, as the server answers a method that it does not have. */
export function methodRules(profile: MethodProfile): MethodRules {
  const rules = new Map(METHOD_LINES.map((line) => [line[0], ruleFor(line, profile)]));
  return {
    ruleOf: (method) => rules.get(method) ?? UNKNOWN,
    checkParams: (method, params, isInjected) => checkParams(method, params, profile, isInjected),
    forced: profile === 'Shared' ? FORCED : undefined,
  };
}

/** The rules of every profile, each as `wrap` makes them. */
export function rulesByIsolation(
  wrap = (rules: MethodRules): MethodRules => rules,
): Record<MethodProfile, MethodRules> {
  return {
    Dedicated: wrap(methodRules('Dedicated')),
    Shared: wrap(methodRules('Shared')),
    SharedTrusted: wrap(methodRules('SharedTrusted')),
  };
}

function ruleFor(line: MethodLine, profile: MethodProfile): MethodRule {
  const [method, , , reason, merge] = line;
  const decision = decisionFor(line, profile);
  const rule = {
    reason: METHOD_REASONS[reason],
    ...(merge !== undefined && decision !== 'deny' && { merge }),
    ...(isRepeatable(method) && { isRepeatable: true }),
  };
  if (isRewrite(decision)) return { ...rule, action: 'rewrite', rewrite: decision };
  if (isAnswer(decision)) return { ...rule, action: 'answer', answer: decision };
  return { ...rule, action: decision };
}

/** What is done with the call in a tenant of this profile. */
export function decisionFor([, dedicated, shared, reason]: MethodLine, profile: MethodProfile): MethodDecision {
  if (profile === 'Dedicated' || shared === 'same') return dedicated;
  // What an agent may do its user may do by a call, too.
  if (profile === 'SharedTrusted' && shared === 'deny' && isTrusted(reason)) return dedicated;
  return shared;
}

function isRewrite(decision: MethodDecision): decision is MethodRewrite {
  return Object.hasOwn(REWRITES, decision);
}

function isAnswer(decision: MethodDecision): decision is MethodAnswer {
  return Object.hasOwn(ANSWERS, decision);
}
