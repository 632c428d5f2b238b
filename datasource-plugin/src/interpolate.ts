import { AdHocVariableFilter, ScopedVars } from '@grafana/data';

import { anomaliesOf, incidentsOf, Matcher, Operator, OPERATORS, PortentQuery } from './types';

/** How one variable is written; Grafana gives the variable's own settings with the value. */
export type Format = (value: unknown, variable?: { multi?: boolean; includeAll?: boolean }) => string;

/** Replaces template variables in a text, as Grafana's template service does. */
export type Replace = (text: string, vars?: ScopedVars, format?: Format) => string;

/** Quotes what RE2 gives a meaning to, for a regular expression that Prometheus anchors at both ends. */
export function escapeRegex(value: string): string {
  return value.replace(/[\\^$*+?.()|[\]{}]/g, '\\$&');
}

/**
 * Replaces variables in the value of a matcher. With = and != a variable of several values means one of them (or
 * none of them), so the operator becomes =~ (or !~). With =~ and !~ the values of a variable that can have several
 * are escaped; one that can have only one may hold a pattern, as in Grafana's own Prometheus data source.
 */
export function interpolateMatcher(matcher: Matcher, replace: Replace, vars?: ScopedVars): Matcher {
  const label = replace(matcher.label, vars);
  if (matcher.op === '=~' || matcher.op === '!~') {
    return { label, op: matcher.op, value: replace(matcher.value, vars, alternatives) };
  }
  let several = false;
  const plain = replace(matcher.value, vars, (value) => {
    several = several || (Array.isArray(value) && value.length > 1);
    return Array.isArray(value) ? value.join(',') : String(value ?? '');
  });
  if (!several) {
    return { label, op: matcher.op, value: plain };
  }
  // The text around the variable is literal as well, so it is escaped before the values are put in.
  const op: Operator = matcher.op === '=' ? '=~' : '!~';
  return { label, op, value: replace(escapeAround(matcher.value), vars, escaped) };
}

/** Escapes the text around variables and leaves $name, ${name}, ${name:format} and [[name]] as they are. */
function escapeAround(text: string): string {
  const variable = /\$\w+|\$\{[^}]+\}|\[\[[^\]]+\]\]/g;
  let out = '';
  let end = 0;
  for (const match of text.matchAll(variable)) {
    out += escapeRegex(text.slice(end, match.index)) + match[0];
    end = match.index + match[0].length;
  }
  return out + escapeRegex(text.slice(end));
}

const alternatives: Format = (value, variable) => {
  if (!Array.isArray(value) && variable && !variable.multi && !variable.includeAll) {
    return String(value ?? '');
  }
  const all = (Array.isArray(value) ? value : [value]).map((v) => escapeRegex(String(v ?? '')));
  return all.length === 1 ? all[0] : `(${all.join('|')})`;
};

/** Values as literals, whatever the variable is. */
const escaped: Format = (value) => alternatives(value);

/** Ad hoc filters of a dashboard as matchers. An operator that labels do not have is left out. */
export function adhocMatchers(filters: AdHocVariableFilter[]): Matcher[] {
  const out: Matcher[] = [];
  for (const { key, operator, value, values } of filters) {
    if (operator === '=|' || operator === '!=|') {
      const all = values?.length ? values : [value];
      out.push({ label: key, op: operator === '=|' ? '=~' : '!~', value: all.map(escapeRegex).join('|') });
      continue;
    }
    const op = OPERATORS.find((known) => known === operator);
    if (op && key) {
      out.push({ label: key, op, value });
    }
  }
  return out;
}

/** A matcher whose label is still empty is one that is being typed. */
function complete(matcher: Matcher): boolean {
  return matcher.label !== '';
}

/** The query as the backend gets it: variables replaced, ad hoc filters added, matchers that are being typed left out. */
export function interpolateQuery(
  query: PortentQuery,
  replace: Replace,
  vars?: ScopedVars,
  filters?: AdHocVariableFilter[]
): PortentQuery {
  const matchers = (given: Matcher[]) => [
    ...given.filter(complete).map((m) => interpolateMatcher(m, replace, vars)),
    ...adhocMatchers(filters ?? []),
  ];
  switch (query.queryType) {
    case 'anomalies': {
      const given = anomaliesOf(query);
      return {
        ...query,
        anomalies: {
          ...given,
          metric: replace(given.metric, vars),
          legend: replace(given.legend, vars),
          matchers: matchers(given.matchers),
        },
      };
    }
    case 'incidents': {
      const given = incidentsOf(query);
      return { ...query, incidents: { ...given, matchers: matchers(given.matchers) } };
    }
    default:
      // A query that came from another data source has no type yet. What else is not known the backend names.
      return query.queryType ? query : interpolateQuery({ ...query, queryType: 'anomalies' }, replace, vars, filters);
  }
}
