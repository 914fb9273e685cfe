/** The issuers that `--oidc-config` names. A module of its own, so that a gateway without OIDC loads none of what it needs. */
import { readFileSync } from 'node:fs';
import type { TokenIssuers } from '../../gateway/admission/admission.ts';
import { parseOidcConfig } from '../../gateway/admission/oidc/config.ts';
import { Issuers, type IssuersOptions } from '../../gateway/admission/oidc/issuers.ts';
import { FollowedFiles } from '../../gateway/followed-files.ts';
import { proxyFor } from '../../kube/client/proxy.ts';
import { ConfigError, toError } from '../../kube/types/errors.ts';

/** Issuers as the file has them, which is looked at until `stop`. */
export interface FollowedIssuers extends TokenIssuers {
  stop(): void;
}

/** A file that is changed to one that cannot be used changes nothing. @throws ConfigError that names the file and each field that is wrong */
export function readIssuers(file: string, options: Omit<IssuersOptions, 'configs' | 'proxyFor'>): FollowedIssuers {
  const read = (path: string): string => readFileSync(path, 'utf8');
  const { log, clock } = options;
  try {
    const followed = new FollowedFiles({
      read: () => parseOidcConfig(read(file), read),
      isSame: (a, b) => JSON.stringify(a) === JSON.stringify(b),
      timers: clock,
      renewed: () => log.info({ file }, 'the issuers of OIDC tokens have changed'),
      failed: (error) => log.warn({ file, error }, 'the new issuers of OIDC tokens cannot be used; those before stay'),
    });
    const issuers = new Issuers({
      ...options,
      configs: followed.content,
      proxyFor: (server) => proxyFor(server, undefined, process.env),
    });
    followed.follow((configs) => issuers.replace(configs));
    return { of: (token) => issuers.of(token), stop: () => followed.stop() };
  } catch (error) {
    throw new ConfigError(`--oidc-config=${file}: ${toError(error).message}`, { cause: error });
  }
}
