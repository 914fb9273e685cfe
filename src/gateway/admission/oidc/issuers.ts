/** The configured issuers of OIDC tokens, each with its own keys, so that none waits for another one. */
import type { Clock } from '../../../kube/clock/clock.ts';
import type { TokenIssuers } from '../admission.ts';
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

/** Keys are read when the first token of an issuer comes. */
export function createIssuers({ configs, clock, log, observer, proxyFor }: IssuersOptions): TokenIssuers {
  const issuers = new Map(
    configs.map((config) => {
      const read = (): ReturnType<typeof readKeys> => readKeys({ config, clock, proxyFor });
      const keys = new IssuerKeys({ url: config.url, read, clock, log, observer });
      return [config.url, new OidcIssuer({ config, keys, clock })];
    }),
  );
  return {
    of: (token) => {
      const iss = unverifiedClaims(token)?.['iss'];
      return typeof iss === 'string' ? issuers.get(iss) : undefined;
    },
  };
}
