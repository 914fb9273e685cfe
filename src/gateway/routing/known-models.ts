/** The logins of tenants' models, which the gateway puts into their sessions: each is read from its Secret when a session needs it. */
import { isDeepStrictEqual } from 'node:util';
import type { KubeClient } from '../../kube/client/client.ts';
import type { Clock } from '../../kube/clock/clock.ts';
import { Secret } from '../../kube/types/builtins.ts';
import { isForbidden, isNotFound } from '../../kube/types/errors.ts';
import { keyOf } from '../../kube/types/types.ts';
import { credentialOf } from '../../resources/credential.ts';
import { ModelUnavailableError, type SessionModel, type TenantModel, type TenantRef } from '../model.ts';
import type { RoutedModel } from './slim.ts';

interface Known {
  readonly spec: RoutedModel;
  readonly model: TenantModel;
}

/** How long a failure is believed, in ms: thousands of clients may come at once. */
const FAILURE_MS = 2_000;

/** One for each tenant that clients have asked for. */
export class KnownModels {
  readonly #client: Pick<KubeClient, 'get'>;
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** By the tenant's key. */
  readonly #known = new Map<string, Known>();

  constructor(client: Pick<KubeClient, 'get'>, clock: Pick<Clock, 'monotonic'>) {
    this.#client = client;
    this.#clock = clock;
  }

  /** The same object as long as the tenant says the same. */
  modelOf(tenant: TenantRef, spec: RoutedModel | undefined): TenantModel | undefined {
    const key = keyOf(tenant);
    const known = this.#known.get(key);
    if (spec === undefined) this.forget(key);
    if (spec === undefined || (known !== undefined && isDeepStrictEqual(known.spec, spec))) return spec && known?.model;
    const login = new Login(() => readModel(this.#client, tenant, spec), this.#clock);
    const model = { read: (maxAgeMs: number) => login.read(maxAgeMs) };
    this.#known.set(key, { spec, model });
    return model;
  }

  forget(key: string): void {
    this.#known.delete(key);
  }
}

/** Read once for all who wait, and not again while it is fresh. */
class Login {
  readonly #read: () => Promise<SessionModel>;
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** What the last read came to, and when it began; monotonic ms. */
  #last: { readonly at: number; readonly outcome: SessionModel | ModelUnavailableError } | undefined;
  #reading: Promise<SessionModel | ModelUnavailableError> | undefined;

  constructor(read: () => Promise<SessionModel>, clock: Pick<Clock, 'monotonic'>) {
    this.#read = read;
    this.#clock = clock;
  }

  async read(maxAgeMs: number): Promise<SessionModel> {
    const outcome = this.#fresh(maxAgeMs) ?? (await (this.#reading ??= this.#begin()));
    if (outcome instanceof ModelUnavailableError) throw outcome;
    return outcome;
  }

  #fresh(maxAgeMs: number): SessionModel | ModelUnavailableError | undefined {
    if (this.#last === undefined) return undefined;
    const { at, outcome } = this.#last;
    const ageMs = this.#clock.monotonic() - at;
    return ageMs <= (outcome instanceof ModelUnavailableError ? FAILURE_MS : maxAgeMs) ? outcome : undefined;
  }

  async #begin(): Promise<SessionModel | ModelUnavailableError> {
    const at = this.#clock.monotonic();
    const outcome = await this.#read().catch((error: unknown) => this.#failed(error));
    this.#last = { at, outcome };
    this.#reading = undefined;
    return outcome;
  }

  /** While the API server does not answer, the last login is the best that is known. The transport counts its failures. */
  #failed(error: unknown): SessionModel | ModelUnavailableError {
    if (error instanceof ModelUnavailableError) return error;
    const before = this.#last?.outcome;
    if (before !== undefined && !(before instanceof ModelUnavailableError)) return before;
    const why =
      'the login of its model cannot be read now, because the API server does not answer the gateway; try again';
    return new ModelUnavailableError(why, { cause: error });
  }
}

async function readModel(client: Pick<KubeClient, 'get'>, tenant: TenantRef, spec: RoutedModel): Promise<SessionModel> {
  const ref = spec.github?.tokenSecretRef ?? spec.provider?.apiKeySecretRef;
  if (ref === undefined) return sessionModel(spec, undefined);
  // The Roles of all tenants of the namespace are one right of the gateway. So what this tenant may have read is what the operator says of it.
  if (spec.secret?.name !== ref.name || spec.secret.key !== ref.key) throw unusable(tenant);
  const secret = { namespace: tenant.namespace, name: ref.name };
  try {
    const read = credentialOf(await client.get(Secret, secret, { managedFields: false }), ref.key);
    if ('value' in read) return sessionModel(spec, read.value);
  } catch (error) {
    // The operator gives the right to read it exactly while it can be used.
    if (!isNotFound(error) && !isForbidden(error)) throw error;
  }
  throw unusable(tenant);
}

function unusable(tenant: TenantRef): ModelUnavailableError {
  return new ModelUnavailableError(
    `the login of its model cannot be used: see the condition ModelConfigured of CopilotTenant ${keyOf(tenant)}; a change takes effect within a minute`,
  );
}

/** What sessions get: the provider of the tenant as a whole, or its GitHub token. */
export function sessionModel({ github, provider }: RoutedModel, secret: string | undefined): SessionModel {
  if (github !== undefined) return { login: { gitHubToken: secret } };
  if (provider === undefined) return { login: {} };
  const { type, wireApi, baseUrl, headers, model } = provider;
  return {
    login: {
      provider: {
        type,
        ...(type !== 'anthropic' && { wireApi }),
        baseUrl,
        ...(secret !== undefined && { apiKey: secret }),
        ...(headers !== undefined && { headers }),
      },
    },
    defaultModel: model,
  };
}
