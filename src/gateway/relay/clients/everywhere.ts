/** Calls that all servers of a tenant answer together, because they are about sessions of which each has some. */
import { CopilotError, RpcError, UnreachableError, isObject, messageOf } from '../../../copilot/index.ts';
import type { MethodMerge } from '../../model.ts';
import type { Home } from '../home/home.ts';
import { merged, modifiedTimeOf } from '../listing/merge.ts';
import { sessionIdOf, type ServerAnswer } from '../model.ts';
import { loadFailure, lost } from '../server/server-answer.ts';
import { listedTimes } from '../listing/session-list.ts';
import type { TenantHomes } from '../tenant/tenant-homes.ts';

/** What all servers said together: a result, the error of one that refuses the call, or why not all have answered. */
export type CommonAnswer =
  { readonly result: unknown } | { readonly error: RpcError } | { readonly failure: ServerAnswer };

/** A call without a session. */
export interface CommonCall {
  readonly method: string;
  readonly params: object;
}

/** Asks all servers of the tenant, and merges what they say. An incomplete list is no answer: it would look like a complete one. */
export async function answerOfAll(homes: TenantHomes, merge: MethodMerge, call: CommonCall): Promise<CommonAnswer> {
  const ask = ({ upstream }: Home) => upstream.call(call.method, call.params);
  try {
    if (merge === 'Last') {
      return await everyone(
        homes,
        async (home) => timedId(home, await ask(home)),
        (ids) => lastOf(ids.flat()),
      );
    }
    if (merge === 'Ids') {
      return await everyone(
        homes,
        async (home) => timedIds(home, await ask(home)),
        (ids) => idsOf(ids.flat(), call.params),
      );
    }
    return await everyone(homes, ask, (results) => merged(merge, results));
  } catch (error) {
    if (error instanceof RpcError) return { error };
    const cause = error instanceof CopilotError ? error : new UnreachableError(messageOf(error), { cause: error });
    return { failure: loadFailure(cause) ?? lost(cause, true) };
  }
}

async function everyone<T>(
  homes: TenantHomes,
  ask: (home: Home) => Promise<T>,
  merge: (answers: readonly T[]) => unknown,
): Promise<CommonAnswer> {
  const { answers, missing } = await homes.ask(ask);
  const why = homes.away(missing);
  if (why !== undefined) return { failure: { kind: 'Away', why } };
  return { result: merge(homes.current.flatMap((home) => (answers.has(home) ? [answers.get(home) as T] : []))) };
}

interface TimedId {
  readonly sessionId: string;
  readonly time: string;
}

const newestFirst = (ids: readonly TimedId[]): TimedId[] => ids.toSorted((a, b) => b.time.localeCompare(a.time));

/** The session that the server names in its answer, with the time of its last use. */
async function timedId({ upstream }: Home, answer: unknown): Promise<TimedId[]> {
  const sessionId = isObject(answer) ? sessionIdOf(answer) : undefined;
  if (sessionId === undefined) return [];
  const result = await upstream.call('sessions.getMetadata', { sessionId });
  return [{ sessionId, time: modifiedTimeOf(isObject(result) ? result['session'] : undefined) }];
}

/** The ids that the server lists in its answer, each with that time. */
async function timedIds({ upstream }: Home, answer: unknown): Promise<TimedId[]> {
  const ids = isObject(answer) && Array.isArray(answer['sessionIds']) ? (answer['sessionIds'] as unknown[]) : [];
  const times = await listedTimes(upstream);
  return ids.flatMap((id) => (typeof id === 'string' ? [{ sessionId: id, time: times.get(id) ?? '' }] : []));
}

function lastOf(ids: readonly TimedId[]): object {
  const [last] = newestFirst(ids);
  return last === undefined ? {} : { sessionId: last.sessionId };
}

function idsOf(ids: readonly TimedId[], params: object): object {
  const limit = isObject(params) && typeof params['limit'] === 'number' ? params['limit'] : undefined;
  return {
    sessionIds: newestFirst(ids)
      .slice(0, limit)
      .map(({ sessionId }) => sessionId),
  };
}
