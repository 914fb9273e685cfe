/** One line of the table of methods. */
import type { Isolation } from '../../api/names.ts';
import type { MethodAnswer, MethodMerge, MethodRewrite } from '../model.ts';
import type { MethodReason } from './reasons.ts';

/**
 * Who shares a tenant: `Dedicated`, one trust domain; `Shared`, users of whom each has sessions of their own and an agent without
 * tools of the server; `SharedTrusted`, the same with all tools.
 */
export type MethodProfile = Isolation;

/** What is done with a call: relayed, denied, rewritten in one of these ways, or answered. */
export type MethodDecision = 'relay' | 'deny' | MethodRewrite | MethodAnswer;

/**
 * Method, what is done with it in a tenant whose clients are one trust domain, whether that is the `same`, denied, or answered with the
 * user's `own` sessions only where each user has sessions of their own, why, and, for what concerns the sessions of all servers of a
 * tenant, how their answers become one.
 */
export type MethodLine = readonly [
  method: string,
  dedicated: MethodDecision,
  shared: 'same' | 'deny' | 'own',
  reason: MethodReason,
  merge?: MethodMerge,
];
