/** The issuers that `--oidc-config` names. A module of its own, so that a gateway without OIDC loads none of what it needs. */
import { readFileSync } from 'node:fs';
import type { TokenIssuers } from '../../gateway/admission/admission.ts';
import { parseOidcConfig } from '../../gateway/admission/oidc/config.ts';
import { createIssuers, type IssuersOptions } from '../../gateway/admission/oidc/issuers.ts';
import { proxyFor } from '../../kube/client/proxy.ts';
import { ConfigError, toError } from '../../kube/types/errors.ts';

/** @throws ConfigError that names the file and each field that is wrong */
export function readIssuers(file: string, options: Omit<IssuersOptions, 'configs' | 'proxyFor'>): TokenIssuers {
  const read = (path: string): string => readFileSync(path, 'utf8');
  try {
    return createIssuers({
      ...options,
      configs: parseOidcConfig(read(file), read),
      proxyFor: (server) => proxyFor(server, undefined, process.env),
    });
  } catch (error) {
    throw new ConfigError(`--oidc-config=${file}: ${toError(error).message}`, { cause: error });
  }
}
