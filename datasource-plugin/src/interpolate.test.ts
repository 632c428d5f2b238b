import { ScopedVars } from '@grafana/data';

import {
  adhocMatchers,
  escapeRegex,
  followVariables,
  Format,
  interpolateMatcher,
  interpolateQuery,
  Replace,
  variablesOf,
} from './interpolate';
import { Frozen, Matcher, PortentQuery } from './types';

interface Variable {
  value: string | string[];
  multi?: boolean;
  includeAll?: boolean;
}

/** Replaces $name and ${name}, as Grafana's template service does: the format gets the value and the variable. */
function replacer(variables: Record<string, Variable>): Replace {
  return (text: string, vars?: ScopedVars, format?: Format) =>
    text.replace(/\$(\w+)|\$\{(\w+)\}/g, (match, plain, braced) => {
      const name = plain ?? braced;
      const variable: Variable | undefined = vars?.[name] ? { value: vars[name].value } : variables[name];
      if (!variable) {
        return match;
      }
      return format
        ? format(variable.value, variable)
        : Array.isArray(variable.value)
          ? `{${variable.value.join(',')}}`
          : variable.value;
    });
}

const replace = replacer({
  one: { value: 'shop' },
  pattern: { value: 'sh.*' },
  dot: { value: 'web-1.local:9100', multi: true },
  some: { value: ['shop', 'pay.eu'], multi: true },
  single: { value: ['shop'], multi: true },
  none: { value: [], multi: true },
});

function matcher(op: Matcher['op'], value: string): Matcher {
  return { label: 'namespace', op, value };
}

describe('interpolateMatcher', () => {
  const f = (op: Matcher['op'], value: string) => {
    const out = interpolateMatcher(matcher(op, value), replace);
    return `${out.op} ${out.value}`;
  };

  it('puts a single value in as it is', () => {
    expect(f('=', '$one')).toBe('= shop');
    expect(f('!=', 'a-${one}')).toBe('!= a-shop');
    expect(f('=', '$single')).toBe('= shop');
    expect(f('=', '$dot')).toBe('= web-1.local:9100');
    expect(f('=', 'no variable, $unknown')).toBe('= no variable, $unknown');
  });

  it('makes one of them out of several values', () => {
    expect(f('=', '$some')).toBe('=~ (shop|pay\\.eu)');
    expect(f('!=', '$some')).toBe('!~ (shop|pay\\.eu)');
    expect(f('=', 'a.b-$some')).toBe('=~ a\\.b-(shop|pay\\.eu)');
    expect(f('=', '$some/${one}.x')).toBe('=~ (shop|pay\\.eu)/shop\\.x');
  });

  it('escapes the values of a variable that can have several in a pattern', () => {
    expect(f('=~', '$some')).toBe('=~ (shop|pay\\.eu)');
    expect(f('!~', '$dot')).toBe('!~ web-1\\.local:9100');
    expect(f('=~', 'x.*$some')).toBe('=~ x.*(shop|pay\\.eu)');
  });

  it('lets a variable of one value hold a pattern', () => {
    expect(f('=~', '$pattern')).toBe('=~ sh.*');
  });

  it('knows values of the panel it repeats', () => {
    const out = interpolateMatcher(matcher('=', '$one'), replace, { one: { value: 'scoped' } });
    expect(out.value).toBe('scoped');
  });

  it('selects nothing when nothing is selected', () => {
    expect(f('=', '$none')).toBe('= ');
  });
});

describe('escapeRegex', () => {
  it('makes every character literal', () => {
    const text = 'a.b*c+d?e^f$g(h)i[j]k{l}m|n\\o-p/q';
    expect(new RegExp(`^${escapeRegex(text)}$`).test(text)).toBe(true);
    expect(escapeRegex('a-b_c:d/e')).toBe('a-b_c:d/e');
  });
});

describe('adhocMatchers', () => {
  it('takes the operators that labels have', () => {
    expect(
      adhocMatchers([
        { key: 'a', operator: '=', value: '1' },
        { key: 'b', operator: '!~', value: 'x.*' },
        { key: 'c', operator: '=|', value: '', values: ['1.5', '2'] },
        { key: 'd', operator: '!=|', value: '3' },
        { key: 'e', operator: '<', value: '4' },
        { key: '', operator: '=', value: '5' },
      ])
    ).toEqual([
      { label: 'a', op: '=', value: '1' },
      { label: 'b', op: '!~', value: 'x.*' },
      { label: 'c', op: '=~', value: '1\\.5|2' },
      { label: 'd', op: '!~', value: '3' },
    ]);
  });
});

describe('interpolateQuery', () => {
  it('fills in an anomalies query', () => {
    const query: PortentQuery = {
      refId: 'A',
      queryType: 'anomalies',
      anomalies: {
        metric: '${one}_total',
        legend: '{{pod}} $one',
        matchers: [matcher('=', '$one'), matcher('=', ''), { ...matcher('=', 'x'), label: '' }],
      },
      incidents: { status: 'open' },
    };
    const out = interpolateQuery(query, replace, {}, [{ key: 'cluster', operator: '=', value: 'eu' }]);
    expect(out.anomalies?.metric).toBe('shop_total');
    expect(out.anomalies?.legend).toBe('{{pod}} shop');
    expect(out.anomalies?.matchers).toEqual([
      { label: 'namespace', op: '=', value: 'shop' },
      { label: 'namespace', op: '=', value: '' }, // an absent label is a value too
      { label: 'cluster', op: '=', value: 'eu' },
    ]);
    expect(out.incidents).toEqual({ status: 'open' });
    expect(query.anomalies?.metric).toBe('${one}_total');
  });

  it('fills in an incidents query', () => {
    const out = interpolateQuery(
      { refId: 'A', queryType: 'incidents', incidents: { matchers: [matcher('=', '$some')] } },
      replace
    );
    expect(out.incidents?.matchers).toEqual([{ label: 'namespace', op: '=~', value: '(shop|pay\\.eu)' }]);
  });

  it('takes a query of another data source for the default one', () => {
    const out = interpolateQuery({ refId: 'A', expr: 'up' } as unknown as PortentQuery, replace);
    expect(out.queryType).toBe('anomalies');
    expect(out.anomalies?.view).toBe('table');
  });

  it('leaves a type that it does not know to the backend', () => {
    const query = { refId: 'A', queryType: 'oracle' } as unknown as PortentQuery;
    expect(interpolateQuery(query, replace)).toEqual(query);
  });
});

describe('a question with variables', () => {
  const hostile = replacer({ ns: { value: 'a"} or up{b="' }, re: { value: ['a"b', 'c.d'], multi: true } });
  const asked = (question: string, query: string, of = question): PortentQuery => ({
    refId: 'A',
    queryType: 'ask',
    ask: { question, frozen: { question: of, query } as Frozen },
  });

  it('keeps what is stored for it', () => {
    const { ask } = interpolateQuery(asked('memory of $one', 'x{app="$one"}[$__rate_interval]'), replace);
    expect(ask?.question).toBe('memory of shop');
    expect(ask?.frozen?.question).toBe('memory of shop');
    expect(ask?.frozen?.query).toBe('x{app="shop"}[$__rate_interval]');
    const other = interpolateQuery(asked('cpu of $one', 'x', 'memory of $one'), replace).ask;
    expect(other?.frozen?.question).toBe('memory of $one');
  });

  it('replaces variables in each of several queries', () => {
    const query = asked('what is wrong with $one', 'a{app="$one"}');
    const part = { title: 'errors', query: 'b{app="$one"}' };
    query.ask = { ...query.ask, frozen: { ...query.ask?.frozen, parts: [part] } as Frozen };
    const frozen = interpolateQuery(query, replace).ask?.frozen;
    expect(frozen?.query).toBe('a{app="shop"}');
    expect(frozen?.parts).toEqual([{ title: 'errors', query: 'b{app="shop"}' }]);
  });

  it('says several values as one says them', () => {
    expect(interpolateQuery(asked('memory of $some', 'x{app=~"$some"}'), replace).ask).toMatchObject({
      question: 'memory of shop or pay.eu',
      frozen: { query: 'x{app=~"(shop|pay\\\\.eu)"}' },
    });
  });

  it('never lets a value out of its quotes', () => {
    expect(interpolateQuery(asked('q', 'x{app="$ns"}'), hostile).ask?.frozen?.query).toBe('x{app="a\\"} or up{b=\\""}');
    expect(interpolateQuery(asked('q', 'x{app=~"$re"}'), hostile).ask?.frozen?.query).toBe('x{app=~"(a\\"b|c\\\\.d)"}');
    const forecast = interpolateQuery(
      { refId: 'A', queryType: 'forecast', forecast: { expr: 'x{app="$ns"}' } },
      hostile
    ).forecast;
    expect(forecast?.expr).toBe('x{app="a\\"} or up{b=\\""}');
  });

  it('follows its variables', () => {
    const follow = (query: string, question: string, several = false) =>
      followVariables(query, question, replace, () => several);
    expect(follow('x{app="shop",b!="shop",c="shops"}', 'memory of $one')).toBe('x{app="$one",b!="$one",c="shops"}');
    expect(follow('x{app="shop",b!="shop"}', 'memory of $one', true)).toBe('x{app=~"$one",b!~"$one"}');
    expect(follow('x{app="shop"}', 'memory of shop')).toBe('x{app="shop"}');
    expect(follow('x{app="shop"}', 'memory of $nobody')).toBe('x{app="shop"}');
  });

  it('knows its variables from durations', () => {
    expect(variablesOf('$a ${b} ${c:regex} [[d]] $__interval ${__range} $a')).toEqual(['a', 'b', 'c', 'd']);
  });

  it('puts the filters of the dashboard on', () => {
    const filters = [{ key: 'cluster', operator: '=', value: 'eu1' }];
    expect(interpolateQuery(asked('q', 'x'), replace, {}, filters).ask?.matchers).toEqual([
      { label: 'cluster', op: '=', value: 'eu1' },
    ]);
  });
});
