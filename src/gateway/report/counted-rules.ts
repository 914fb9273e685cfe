/** The rules of methods and parameters, which count what they refuse: whoever asks for a rule is about to follow it. */
import { METHOD_REASONS, type MethodReason } from '../methods/reasons.ts';
import type { MethodRules } from '../model.ts';

/** Who counts. */
export interface DeniedCalls {
  /** `method` is given where nobody has decided about it. */
  deniedCall(reason: MethodReason, method: string | undefined): void;
  /** A call was refused because of a parameter, by this rule. */
  refusedParameter(rule: string): void;
}

const KEYS: ReadonlyMap<string, MethodReason> = new Map(
  Object.entries(METHOD_REASONS).map(([key, sentence]) => [sentence, key as MethodReason]),
);

/** The same rules. */
export function countedRules(rules: MethodRules, counter: DeniedCalls): MethodRules {
  return {
    ruleOf: (method) => {
      const rule = rules.ruleOf(method);
      if (rule.action === 'deny') {
        const reason = KEYS.get(rule.reason) ?? 'Unknown';
        counter.deniedCall(reason, reason === 'Unknown' ? method : undefined);
      }
      return rule;
    },
    checkParams: (method, params, isInjected) => {
      const refusal = rules.checkParams(method, params, isInjected);
      if (refusal !== undefined) counter.refusedParameter(refusal.reason);
      return refusal;
    },
    forced: rules.forced,
  };
}
