/** The configured issuers of OIDC tokens, each with its own keys, so that none waits for another one. */
import type { Clock } from '../../../kube/clock/clock.ts';
import type { TokenIssuer, TokenIssuers } from '../admission.ts';
import { unverifiedClaims } from '../jwt.ts';
import type { IssuerConfig } from './config.ts';
import { OidcIssuer } from './issuer.ts';
import { readKeys, type KeySourceOptions } from './key-source.ts';
import { IssuerKeys, type IssuerKeysOptions } from './keys.ts';

/** What issuers need. */
export interface IssuersOptions
  extends Pick<IssuerKeysOptions, 'log' | 'observer'>, Pick<KeySourceOptions, 'proxyFor'> {
  readonly configs: readonly IssuerConfig[];
  readonly clock: Clock;
}

interface Known {
  /** The configuration as JSON. */
  readonly text: string;
  readonly issuer: OidcIssuer;
}

/** By the URL that their tokens name. Keys are read when the first token of an issuer comes. */
export class Issuers implements TokenIssuers {
  readonly #options: Omit<IssuersOptions, 'configs'>;
  #known: ReadonlyMap<string, Known>;

  constructor({ configs, ...options }: IssuersOptions) {
    this.#options = options;
    this.#known = new Map(configs.map((config) => [config.url, this.#knownOf(config)]));
  }

  of(token: string): TokenIssuer | undefined {
    const iss = unverifiedClaims(token)?.['iss'];
    return typeof iss === 'string' ? this.#known.get(iss)?.issuer : undefined;
  }

  /** Trusts these from now on. One that is configured as before keeps its keys. */
  replace(configs: readonly IssuerConfig[]): void {
    const before = this.#known;
    this.#known = new Map(
      configs.map((config) => {
        const known = before.get(config.url);
        return [config.url, known?.text === JSON.stringify(config) ? known : this.#knownOf(config)];
      }),
    );
  }

  #knownOf(config: IssuerConfig): Known {
    const { clock, log, observer, proxyFor } = this.#options;
    const read = (): ReturnType<typeof readKeys> => readKeys({ config, clock, proxyFor });
    const keys = new IssuerKeys({ url: config.url, read, clock, log, observer });
    return { text: JSON.stringify(config), issuer: new OidcIssuer({ config, keys, clock }) };
  }
}
