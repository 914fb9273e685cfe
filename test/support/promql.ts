// What a PromQL expression reads, by Prometheus' own grammar.
import { parser } from '@prometheus-io/lezer-promql';

type SyntaxNode = ReturnType<typeof parser.parse>['topNode'];

export interface Matcher {
  readonly label: string;
  readonly operator: string;
  /** The value, or the alternatives of a regular expression. */
  readonly values: readonly string[];
}

/** One use of a metric. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly Matcher[];
  /** Names of the functions around it, the innermost first. */
  readonly functions: readonly string[];
  /** What it is restricted to by `and on (...)`, as text. */
  readonly restrictedTo: readonly string[];
  /** Labels that the aggregations around it keep. */
  readonly keeps: readonly string[];
}

/** Every use of a metric in an expression. Throws where it does not parse. */
export function selectorsOf(expression: string): Selector[] {
  const text = (node: SyntaxNode): string => expression.slice(node.from, node.to);
  const selectors: Selector[] = [];
  parser.parse(expression).iterate({
    enter: ({ type, node, from }) => {
      if (type.isError) throw new Error(`no PromQL at "${expression.slice(from, from + 40)}" of "${expression}"`);
      if (type.name === 'VectorSelector') selectors.push(selectorOf(node, text));
    },
  });
  return selectors;
}

type TextOf = (node: SyntaxNode) => string;

function selectorOf(node: SyntaxNode, text: TextOf): Selector {
  const name = node.getChild('Identifier');
  if (name === null) throw new Error(`a selector without the name of a metric: ${text(node)}`);
  const around = ancestors(node);
  const isIn = (part: SyntaxNode | null) => part !== null && part.from <= node.from && node.to <= part.to;
  const textOf = (part: SyntaxNode | null) => (part === null ? [] : [text(part)]);
  // What is to the right of it has no part in the result.
  const restriction = around.findIndex(
    (each) => (each.getChild('And') ?? each.getChild('Unless')) && isIn(each.lastChild),
  );
  const matchers = node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? [];
  return {
    metric: text(name),
    matchers: matchers.map((matcher) => matcherOf(matcher, text)),
    functions: around.flatMap((each) => textOf(each.getChild('FunctionIdentifier'))),
    restrictedTo: around.flatMap((each) =>
      each.getChild('And') && isIn(each.firstChild) ? textOf(each.lastChild) : [],
    ),
    keeps: around.slice(0, restriction === -1 ? undefined : restriction).flatMap((each) => {
      const labels = each.getChild('AggregateModifier')?.getChild('GroupingLabels')?.getChildren('LabelName') ?? [];
      return labels.map(text);
    }),
  };
}

function matcherOf(matcher: SyntaxNode, text: TextOf): Matcher {
  const [label = '', operator = '', literal = ''] = ['LabelName', 'MatchOp', 'StringLiteral'].map((type) => {
    const child = matcher.getChild(type);
    return child === null ? '' : text(child);
  });
  const value = literal.slice(1, -1);
  return { label, operator, values: operator.endsWith('~') ? value.split('|') : [value] };
}

function ancestors(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let parent = node.parent; parent !== null; parent = parent.parent) found.push(parent);
  return found;
}
