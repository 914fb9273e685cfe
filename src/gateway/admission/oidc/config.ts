/** The file that names the issuers of OIDC tokens: what kube-apiserver's AuthenticationConfiguration calls `jwt`, with the same names of fields. */
import { X509Certificate } from 'node:crypto';
import { parse } from 'yaml';
import { z } from 'zod';
import { ConfigError, toError } from '../../../kube/types/errors.ts';

/** A claim that becomes a name. */
export interface ClaimMapping {
  readonly claim: string;
  /** Put in front of it, so that a name of this issuer is no name of anybody else. */
  readonly prefix: string;
}

/** A claim that a token must have. */
export interface ClaimRule {
  readonly claim: string;
  readonly requiredValue: string;
}

/** One trusted issuer. */
export interface IssuerConfig {
  /** As it stands in `iss` of its tokens. */
  readonly url: string;
  /** The document that says where its keys are; undefined with `jwksURL`. */
  readonly discoveryURL: URL | undefined;
  /** Where its keys are; undefined: discovery says. */
  readonly jwksURL: URL | undefined;
  /** What its certificate must be signed with, PEM; undefined: a public authority. */
  readonly ca: string | undefined;
  /** A token must be for one of them. */
  readonly audiences: readonly string[];
  readonly algorithms: readonly string[];
  readonly rules: readonly ClaimRule[];
  readonly username: ClaimMapping;
  /** Undefined: its users have no groups. */
  readonly groups: ClaimMapping | undefined;
}

/** Neither `none` nor HS256 and the like: with these, whoever can verify a token can make one. */
const ALGORITHMS = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' ');
/** Names of Kubernetes' own users and groups. */
export const SYSTEM_PREFIX = 'system:';
/** As many as kube-apiserver takes. */
const MAX_ISSUERS = 64;
const DISCOVERY_PATH = '.well-known/openid-configuration';
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

const text = z.string().min(1);
const httpsURL = text.refine(isHttpsURL, 'must be an https URL without user and fragment');
const mapping = z.strictObject({
  claim: text,
  prefix: z.string().refine((prefix) => !prefix.startsWith(SYSTEM_PREFIX), `must not begin with ${SYSTEM_PREFIX}`),
});
const issuer = z
  .strictObject({
    url: httpsURL.refine((url) => !url.includes('?'), 'must be an https URL without query'),
    discoveryURL: httpsURL.optional(),
    jwksURL: httpsURL.optional(),
    certificateAuthority: text.refine(isPEM, 'must be certificates in PEM').optional(),
    certificateAuthorityFile: text.optional(),
    audiences: z.array(text).min(1),
    // The only one that there is: kube-apiserver requires it for several audiences.
    audienceMatchPolicy: z.enum(['MatchAny']).optional(),
  })
  .refine(({ discoveryURL, jwksURL }) => !discoveryURL || !jwksURL, 'must not have both discoveryURL and jwksURL')
  .refine(
    (found) => !found.certificateAuthority || !found.certificateAuthorityFile,
    'must not have both certificateAuthority and certificateAuthorityFile',
  );
const authenticator = z.strictObject({
  issuer,
  claimValidationRules: z.array(z.strictObject({ claim: text, requiredValue: z.string() })).optional(),
  claimMappings: z.strictObject({ username: mapping, groups: mapping.optional() }),
  signingAlgorithms: z.array(z.enum(ALGORITHMS)).min(1).optional(),
});
const file = z.strictObject({ jwt: z.array(authenticator).min(1).max(MAX_ISSUERS) });

type Authenticator = z.infer<typeof authenticator>;

/** Reads the text of the file; `read` reads a file that it names. @throws ConfigError that names each field that is wrong */
export function parseOidcConfig(content: string, read: (path: string) => string): readonly IssuerConfig[] {
  const parsed = file.safeParse(parseYAML(content), { error: problemOf });
  if (!parsed.success) {
    throw new ConfigError(parsed.error.issues.map(({ path, message }) => `${nameOf(path)} ${message}`).join('; '));
  }
  const { jwt } = parsed.data;
  const urls = jwt.map((each) => each.issuer.url);
  const second = urls.findIndex((url, index) => urls.indexOf(url) !== index);
  if (second !== -1) {
    throw new ConfigError(
      `jwt[${second}].issuer.url is the same as jwt[${urls.indexOf(urls[second] ?? '')}].issuer.url`,
    );
  }
  return jwt.map((each, index) => configOf(each, `jwt[${index}].issuer.certificateAuthorityFile`, read));
}

function parseYAML(content: string): unknown {
  try {
    return parse(content);
  } catch (error) {
    // The lines after the first one quote the file.
    throw new ConfigError(`it is not YAML: ${toError(error).message.split('\n')[0] ?? ''}`, { cause: error });
  }
}

function configOf(
  { issuer: found, claimValidationRules = [], claimMappings, signingAlgorithms = ALGORITHMS }: Authenticator,
  field: string,
  read: (path: string) => string,
): IssuerConfig {
  const { url, discoveryURL = `${url.replace(/\/$/, '')}/${DISCOVERY_PATH}`, jwksURL } = found;
  const path = found.certificateAuthorityFile;
  return {
    url,
    discoveryURL: jwksURL === undefined ? new URL(discoveryURL) : undefined,
    jwksURL: jwksURL === undefined ? undefined : new URL(jwksURL),
    ca: path === undefined ? found.certificateAuthority : readPEM(path, field, read),
    audiences: found.audiences,
    algorithms: signingAlgorithms,
    rules: claimValidationRules,
    username: claimMappings.username,
    groups: claimMappings.groups,
  };
}

function readPEM(path: string, field: string, read: (path: string) => string): string {
  let content: string;
  try {
    content = read(path);
  } catch (error) {
    throw new ConfigError(`${field} cannot be read: ${toError(error).message}`, { cause: error });
  }
  if (!isPEM(content)) throw new ConfigError(`${field}: ${path} must have certificates in PEM`);
  return content;
}

/** What is wrong with a field, as the end of a sentence that begins with its name. */
function problemOf(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'unrecognized_keys') return `has unknown fields: ${issue.keys.join(', ')}`;
  if (issue.input === undefined) return 'is required';
  if (issue.code === 'invalid_type') return `must be of type ${issue.expected}`;
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.join(', ')}`;
  if (issue.code === 'too_small') return 'must not be empty';
  if (issue.code === 'too_big') return `must have at most ${issue.maximum.toString()} items`;
  // The words of the rule itself.
  return undefined;
}

/** As it stands in documentation: `jwt[0].issuer.url`. */
function nameOf(path: readonly PropertyKey[]): string {
  const name = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return name === '' ? 'the file' : name.slice(1);
}

/** Whether this is such a URL, without what would bring a password into logs. */
export function isHttpsURL(value: string): boolean {
  const url = URL.parse(value);
  return url?.protocol === 'https:' && url.username === '' && url.password === '' && !value.includes('#');
}

function isPEM(value: string): boolean {
  const found = value.match(CERTIFICATE) ?? [];
  return found.length > 0 && found.every(isCertificate);
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    // The only thing that the class throws for: it is none.
    return false;
  }
}
