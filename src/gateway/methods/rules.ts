/** Which method of clients does what, and with which parameters: the tables, as the relay asks them. */
import type { MethodAnswer, MethodRewrite, MethodRule, MethodRules } from '../model.ts';
import type { MethodDecision, MethodLine, MethodProfile } from './line.ts';
import { METHOD_REASONS } from './reasons.ts';
import { METHOD_LINES } from './lines.ts';
import { checkParams } from './param-rules.ts';

const REWRITES: Readonly<Record<MethodRewrite, true>> = {
  attach: true,
  detach: true,
  send: true,
  delete: true,
  keep: true,
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
  };
}

function ruleFor([, dedicated, shared, reason]: MethodLine, profile: MethodProfile): MethodRule {
  const decision: MethodDecision = profile === 'Shared' && shared === 'deny' ? 'deny' : dedicated;
  const why = METHOD_REASONS[reason];
  if (isRewrite(decision)) return { action: 'rewrite', rewrite: decision, reason: why };
  if (isAnswer(decision)) return { action: 'answer', answer: decision, reason: why };
  return { action: decision, reason: why };
}

function isRewrite(decision: MethodDecision): decision is MethodRewrite {
  return Object.hasOwn(REWRITES, decision);
}

function isAnswer(decision: MethodDecision): decision is MethodAnswer {
  return Object.hasOwn(ANSWERS, decision);
}
