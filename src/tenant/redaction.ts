/** Removes secrets from texts before they are written to the status. */
import type { Plan } from './plan.ts';

/** The output of a crashed server may contain its credentials, and the status is readable without access to Secrets. */
export function redactor({ token, model, clients, podSecrets }: Plan): (text: string) => string {
  const all = [token, model.ok ? model.value : undefined, clients.credential?.token];
  const known = all.filter((secret) => secret !== undefined);
  // One that is part of another comes after it, or would leave the rest of the other.
  const secrets = [...known, ...podSecrets.filter(({ length }) => length >= MIN_LENGTH)].toSorted(
    (a, b) => b.length - a.length,
  );
  return (text) =>
    secrets.reduce((redacted, secret) => withoutCutSecret(redacted.replaceAll(secret, REDACTED), secret), text);
}

const REDACTED = '[redacted]';
/** A shorter value of a variable, such as "1" or "true", is in every other text. */
const MIN_LENGTH = 6;
/** Fewer leading characters of a secret than this at the end of a quotation are a coincidence. */
const MIN_START = 4;

// decisions/pod-cause.ts truncates long quotations, possibly within a secret; the remainder then ends in an ellipsis.
function withoutCutSecret(text: string, secret: string): string {
  if (!text.includes('…')) return text;
  let redacted = text;
  for (let length = Math.min(secret.length - 1, text.length); length >= MIN_START; length--) {
    redacted = redacted.replaceAll(`${secret.slice(0, length)}…`, `${REDACTED}…`);
  }
  return redacted;
}
