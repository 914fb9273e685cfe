/** One line of the tables of parameters, and what is put together from them. */
import type { ParamReason } from './param-reasons.ts';

/** Whether a call may have the parameter. None is dropped: a client would take for granted what it does not get. */
export type ParamDecision = 'allow' | 'refuse';

/**
 * Path of a parameter in the params (`attachments.*.path`: in every entry of a list, or every value of an object), whether it
 * is allowed in a tenant whose clients are one trust domain, whether that is the `same` or refused where each user has sessions
 * of their own, why, and what is always allowed: a value, or
 * entries of a list, where one that ends in `*` stands for all that begin so. What is absent, null, false or empty is so in any case: that is how
 * SDKs say that they do not want something.
 */
export type ParamLine = readonly [
  path: string,
  dedicated: ParamDecision,
  shared: 'same' | 'refuse',
  reason: ParamReason,
  harmless?: string | readonly string[],
];

/** The parameters of some methods. */
export interface ParamTable {
  readonly methods: readonly string[];
  readonly lines: readonly ParamLine[];
  /** Lines of another table that hold for what is at `path`. */
  readonly within?: { readonly path: string; readonly lines: readonly ParamLine[] };
}
