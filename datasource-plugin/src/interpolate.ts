import { AdHocVariableFilter, ScopedVars } from '@grafana/data';

import {
  anomaliesOf,
  askOf,
  AskQuery,
  forecastOf,
  incidentsOf,
  Matcher,
  Operator,
  OPERATORS,
  patternsOf,
  PortentQuery,
} from './types';

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

/** Values as they stand between the quotes of PromQL or LogQL: several as a regular expression. */
export const quoted: Format = (value, variable) => {
  const text = alternatives(value, variable);
  return text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
};

/** Values as they are said in a question. */
export const spoken: Format = (value) => (Array.isArray(value) ? value.join(' or ') : String(value ?? ''));

/** $name, ${name}, ${name:format} and [[name]]; not $__interval and its like, which the backend replaces. */
const VARIABLE = /\$(?!__)(\w+)|\$\{(?!__)(\w+)[^}]*\}|\[\[(?!__)(\w+)[^\]]*\]\]/g;

/** The names of the variables in a text. */
export function variablesOf(text: string): string[] {
  const names = [...text.matchAll(VARIABLE)].map((match) => match[1] ?? match[2] ?? match[3]);
  return [...new Set(names)];
}

/**
 * Puts the variables of a question back into the query that answers it, so that the stored query follows them: where
 * the query says ="value" and value is that of a variable in the question.
 */
export function followVariables(
  query: string,
  question: string,
  replace: Replace,
  several: (name: string) => boolean
): string {
  let out = query;
  for (const name of variablesOf(question)) {
    const value = replace(`\${${name}}`, undefined, spoken);
    if (value === '' || value === `\${${name}}`) {
      continue;
    }
    const literal = JSON.stringify(value);
    const [is, isNot] = several(name) ? ['=~', '!~'] : ['=', '!='];
    out = out.split(`!=${literal}`).join(`${isNot}"$${name}"`).split(`=${literal}`).join(`${is}"$${name}"`);
  }
  return out;
}

/** The question and its stored query with variables replaced; what is stored still belongs to the question. */
function interpolateAsk(given: AskQuery, replace: Replace, vars?: ScopedVars): AskQuery {
  const question = replace(given.question, vars, spoken);
  const { frozen } = given;
  return {
    ...given,
    question,
    previous: replace(given.previous, vars, spoken),
    legend: replace(given.legend, vars),
    frozen: frozen && {
      ...frozen,
      question: frozen.question === given.question ? question : frozen.question,
      query: interpolateCode(frozen.query, replace, vars),
      ...(frozen.parts && {
        parts: frozen.parts.map((part) => ({ ...part, query: interpolateCode(part.query, replace, vars) })),
      }),
    },
  };
}

/** PromQL or LogQL with variables replaced. Durations such as $__interval are the backend's business. */
function interpolateCode(text: string, replace: Replace, vars?: ScopedVars): string {
  const guarded = text.replace(/\$(\{?)__/g, '\uE000$1__');
  return replace(guarded, vars, quoted).replace(/\uE000/g, '$');
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
    case 'ask': {
      const given = askOf(query);
      return { ...query, ask: { ...interpolateAsk(given, replace, vars), matchers: matchers(given.matchers) } };
    }
    case 'patterns': {
      const given = patternsOf(query);
      return {
        ...query,
        patterns: {
          ...given,
          query: interpolateCode(given.query, replace, vars),
          compare: replace(given.compare, vars),
        },
      };
    }
    case 'forecast': {
      const given = forecastOf(query);
      return {
        ...query,
        forecast: {
          ...given,
          expr: interpolateCode(given.expr, replace, vars),
          horizon: replace(given.horizon, vars),
          history: replace(given.history, vars),
          metric: replace(given.metric, vars),
          legend: replace(given.legend, vars),
          matchers: matchers(given.matchers),
        },
      };
    }
    default:
      // A query that came from another data source has no type yet. What else is not known the backend names.
      return query.queryType ? query : interpolateQuery({ ...query, queryType: 'anomalies' }, replace, vars, filters);
  }
}
