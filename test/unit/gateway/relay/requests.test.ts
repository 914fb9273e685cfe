import { describe, expect, it } from '@jest/globals';
import { requestKindOf, settle, unattended } from '../../../../src/gateway/relay/asking/requests.ts';

const tool = { hookType: 'preToolUse' };
const error = { error: { code: -32603, message: 'failed' } };
const allow = { result: { output: { permissionDecision: 'allow' } } };
const ask = { result: { output: { permissionDecision: 'ask', modifiedArgs: { a: 1 } } } };
const deny = { result: { output: { permissionDecision: 'deny' } } };
const none = { result: {} };
const wait = { kind: 'Wait' };
const answer = (is: object) => ({ kind: 'Answer', answer: is });
const denial = answer({
  result: { output: { permissionDecision: 'deny', permissionDecisionReason: expect.any(String) } },
});

describe('the answers to a hook', () => {
  it.each([
    ['a denial, at once', [allow, deny], 3, answer(deny)],
    ['nothing yet', [], 2, wait],
    ['a permission, with others to come', [allow], 1, wait],
    ['a permission of all', [allow, none], 0, answer({ result: { output: { permissionDecision: 'allow' } } })],
    ['a wish to ask, stronger than a permission', [ask, allow], 0, answer(ask)],
    ['no opinion', [none, none], 0, answer({ result: {} })],
    ['an error, which denies', [allow, error], 1, denial],
  ])('%s', (_, answers, waiting, expected) => {
    expect(settle('hooks.invoke', tool, answers, waiting)).toEqual(expected);
  });

  it('that decides on no tool: an error is an error, and what others say counts', () => {
    const prompt = { hookType: 'userPromptSubmitted' };
    const changed = { result: { output: { modifiedPrompt: 'p' } } };
    expect(settle('hooks.invoke', prompt, [error, changed], 0)).toEqual(answer(changed));
    expect(settle('hooks.invoke', prompt, [error], 0)).toEqual(answer(error));
  });
});

describe('the answers to anything else', () => {
  it.each([
    ['the first good one', [error, { result: 'a' }, { result: 'b' }], 1, answer({ result: 'a' })],
    ['an error, with others to come', [error], 1, wait],
    ['an error of the last', [error], 0, answer(error)],
    ['nothing', [], 0, wait],
  ])('%s', (_, answers, waiting, expected) => {
    expect(settle('userInput.request', {}, answers, waiting)).toEqual(expected);
  });
});

it('nobody to answer denies a tool, passes other hooks, and fails the rest', () => {
  expect(answer(unattended('hooks.invoke', tool))).toEqual(denial);
  expect(unattended('hooks.invoke', { hookType: 'postToolUse' })).toEqual({ result: {} });
  expect(unattended('userInput.request', {})).toMatchObject({ error: { code: -32603 } });
});

describe('who is asked', () => {
  it.each([
    ['userInput.request', { requestUserInput: true }, {}, true],
    ['userInput.request', { requestUserInput: false }, {}, false],
    ['hooks.invoke', { hooks: true }, {}, true],
    ['systemMessage.transform', { systemMessage: { sections: { identity: { action: 'transform' } } } }, {}, true],
    ['systemMessage.transform', { systemMessage: { sections: { identity: { action: 'remove' } } } }, {}, false],
    ['systemMessage.transform', { systemMessage: 'text' }, {}, false],
    ['providerToken.getToken', { provider: { hasBearerTokenProvider: true } }, {}, true],
    ['providerToken.getToken', { providers: [{}, { hasBearerTokenProvider: true }] }, {}, true],
    ['providerToken.getToken', { provider: { apiKey: 'k' } }, {}, false],
    ['gitHubToken.getToken', { gitHubTokenProviderRegistrationId: 'r' }, { registrationId: 'r' }, true],
    ['gitHubToken.getToken', { gitHubTokenProviderRegistrationId: 'r' }, { registrationId: 'q' }, false],
    ['gitHubToken.getToken', {}, {}, false],
  ])('%s of a client with %j and params %j: %s', (method, declaration, params, expected) => {
    expect(requestKindOf(method)?.declares(declaration, params)).toBe(expected);
  });

  it.each(['llmInference.httpRequestStart', 'sessionFs.readFile', 'uiThread.run', 'constructor', '__proto__'])(
    'nobody of %s',
    (method) => {
      expect(requestKindOf(method)).toBeUndefined();
    },
  );
});
