/** Quotes what others report, short enough for a status. */

/** Longest quotation in a message, in characters: the status is no log. */
const MAX_QUOTE = 300;

/** The text in one line, without a final full stop. */
export function quote(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim().replace(/\.$/, '');
  return line.length > MAX_QUOTE ? `${line.slice(0, MAX_QUOTE)}…` : line;
}

/** `: ` and the quoted text; nothing if there is none. */
export function detail(text: string | undefined): string {
  return text === undefined || text === '' ? '' : `: ${quote(text)}`;
}

/** The last line that a container has written, as the end of a sentence about its exit. */
export function lastLine(output: string | undefined): string {
  const line = (output ?? '')
    .split('\n')
    .map((text) => text.trim())
    .findLast((text) => text !== '');
  return line === undefined ? ' with no output' : `: ${quote(line)}`;
}

/**
 * The refusal of a pod without the pod's name: `pods "acme-0-5d8f7-x2v9k" is forbidden: ...`. The name is random, and would change the
 * text, and so the status, with each attempt.
 */
export function withoutPodName(refusal: string): string {
  return refusal
    .replace(/^Error creating: /, '')
    .replace(/^pods? "[^"]*" is forbidden: /, '')
    .replace(/^(Pod|pods?) "[^"]*" is invalid: /, 'the pod is invalid: ')
    .trim();
}
