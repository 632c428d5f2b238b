import { DataSourceJsonData } from '@grafana/data';
import { DataQuery } from '@grafana/schema';

/**
 * The query model. The backend has the same in pkg/query; both sides read the fixtures in testdata/queries.
 * Each query type keeps its settings under its own key, so that switching between types loses nothing.
 */
export interface PortentQuery extends DataQuery {
  queryType: QueryType;
  anomalies?: Partial<AnomaliesQuery>;
  incidents?: Partial<IncidentsQuery>;
  ask?: Partial<AskQuery>;
  patterns?: Partial<PatternsQuery>;
  forecast?: Partial<ForecastQuery>;
}

export const QUERY_TYPES = ['ask', 'anomalies', 'patterns', 'forecast', 'incidents'] as const;
export type QueryType = (typeof QUERY_TYPES)[number];

/** The shape of the answer. `annotations` is set for annotation queries and not offered in the query editor. */
export type View = 'table' | 'timeseries' | 'numeric' | 'annotations';

export const OPERATORS = ['=', '!=', '=~', '!~'] as const;
export type Operator = (typeof OPERATORS)[number];

/** A label matcher, as in PromQL. */
export interface Matcher {
  label: string;
  op: Operator;
  value: string;
}

export const PARTS = ['score', 'observed', 'expected', 'band'] as const;
export type Part = (typeof PARTS)[number];

export interface AnomaliesQuery {
  view: View;
  /** Name of the input metric; empty for all. */
  metric: string;
  /** Labels of the input series. */
  matchers: Matcher[];
  /** Only series whose score was above; 0 for all. */
  threshold: number;
  /** Series with the greatest scores. */
  limit: number;
  /** What the time series view draws. */
  show: Part[];
  /** Name of a line, with {{label}}; empty for metric and labels. */
  legend: string;
}

export const STATUSES = ['open', 'resolved', 'dismissed'] as const;
export type Status = (typeof STATUSES)[number];

export const SEVERITIES = ['critical', 'warning', 'info'] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface IncidentsQuery {
  view: Exclude<View, 'timeseries'>;
  /** Empty for all. */
  status: Status | '';
  /** Empty for all. */
  severity: Severity[];
  /** At least one alert of the incident has all of them. */
  matchers: Matcher[];
  /** The newest. */
  limit: number;
}

/** A question in plain English with the query that answers it. */
export interface AskQuery {
  question: string;
  /** The question as a whole that this one follows up; empty for none. */
  previous: string;
  view: AskView;
  /** Of every selector: ad hoc filters of the dashboard. */
  matchers: Matcher[];
  /** Series or log lines; 0: as many as are read. */
  limit: number;
  /** Name of a line, with {{label}}; empty for the labels that tell them apart. */
  legend: string;
  /** Minutes that the asker's clock is ahead of UTC: where "midnight" is. */
  utcOffset: number;
  /** The asker's zone by its IANA name, which knows when clocks change. */
  timezone?: string;
  /** null until the question was answered. */
  frozen: Frozen | null;
}

export const ASK_VIEWS = ['auto', 'table', 'timeseries', 'numeric', 'logs'] as const;
/** `volume` is asked for by Explore alone, `annotations` by annotation queries. */
export type AskView = (typeof ASK_VIEWS)[number] | 'volume' | 'annotations';

export type Language = 'promql' | 'logql';

/** The query that a question was answered with. A panel runs it until somebody asks again. */
export interface Frozen {
  /** The question that it belongs to, before variables are replaced. */
  question: string;
  /** The same as a whole: what a follow-up follows. */
  text: string;
  language: Language;
  /** With $__interval, $__rate_interval, $__range and $__auto. */
  query: string;
  /** About a stretch of time rather than the moment at its end. */
  graph: boolean;
  /** The stretch that the question names; empty: the dashboard's range. */
  span: string;
  /** How long before the end of the dashboard's range it ends. */
  ago: string;
  /** At which a graph of log lines counted. */
  step: string;
  unit: string;
  concept: string;
  explanation: string;
  /** rules, model, or person for one that was written by hand. */
  translator: string;
  /** Words that name a time by the clock: what they name is worked out anew each time the query runs, in `zone`. */
  when?: string;
  zone?: string;
  /** When the question was asked, in Unix ms; with `when`. */
  asked?: number;
  /** The queries of a question that takes several: "what is wrong with checkout". */
  parts?: FrozenPart[];
}

/** One of several queries that answer a question together. */
export interface FrozenPart extends Frozen {
  title: string;
  /** The value that is a finding. */
  above: number;
}

/** Another way to understand a question. */
export interface Reading {
  query: string;
  explanation: string;
}

/** What the resource explain answers, and what stands in the metadata of the first frame. */
export interface Explained extends Frozen {
  refused?: boolean;
  reason?: string;
  suggestions?: string[];
  alternatives: Reading[];
  warnings?: string[];
  /** The result in a sentence. */
  answer?: string;
  stored: boolean;
}

export const PATTERN_VIEWS = ['table', 'timeseries', 'numeric', 'logs', 'causes'] as const;
/** `volume` is asked for by Explore alone. */
export type PatternsView = (typeof PATTERN_VIEWS)[number] | 'volume';

export const LINE_SEVERITIES = ['critical', 'error', 'warning', 'info', 'debug', 'unknown'] as const;
export type LineSeverity = (typeof LINE_SEVERITIES)[number];

export const CHANGES = ['new', 'grown', 'gone', 'shrunk', 'same'] as const;
export type Change = (typeof CHANGES)[number];

/** What log lines of Loki say, as patterns. */
export interface PatternsQuery {
  view: PatternsView;
  /** LogQL: a log query with any filters and parsers. */
  query: string;
  /** Empty for all. */
  severity: LineSeverity[];
  /** Empty, `previous`, or how much earlier the other window is: 1d. */
  compare: string;
  /** Only patterns that did one of these; needs compare. */
  change: Change[];
  /** Only the pattern with this id. */
  pattern: string;
  /** Patterns, or lines in view logs. */
  limit: number;
  /** Read from Loki at most. */
  maxLines: number;
}

export const FORECAST_PARTS = ['history', 'forecast', 'band'] as const;
export type ForecastPart = (typeof FORECAST_PARTS)[number];

/** Where series go, and when they meet a limit. */
export interface ForecastQuery {
  view: Extract<View, 'timeseries' | 'numeric' | 'table'>;
  /** PromQL; or */
  expr: string;
  /** the name of a metric: a counter is taken as its rate. */
  metric: string;
  matchers: Matcher[];
  /** How far ahead. */
  horizon: string;
  /** How far back is looked; empty: the dashboard's range, and at least three times the horizon. */
  history: string;
  /** Share of the future values that the band is to hold. */
  level: number;
  /** The limit of which the time is wanted; null for none. */
  until: number | null;
  /** Series with the greatest newest values. */
  limit: number;
  show: ForecastPart[];
  legend: string;
  /** Unit of Grafana; empty: as the metric's name says. */
  unit: string;
}

export const MAX_LIMIT = 1000;
export const MAX_QUESTION_BYTES = 2000;
export const MAX_FORECAST_SERIES = 50;

/** The threshold that a query without one has: see defaultThreshold in the backend. */
export function defaultThreshold(view: View): number {
  return view === 'table' || view === 'annotations' ? 1 : 0;
}

/** The settings of an anomalies query with every default filled in. */
export function anomaliesOf(query: Pick<PortentQuery, 'anomalies'>): AnomaliesQuery {
  const given = query.anomalies ?? {};
  const view = given.view || 'table';
  return {
    view,
    metric: given.metric ?? '',
    matchers: given.matchers ?? [],
    threshold: given.threshold ?? defaultThreshold(view),
    limit: given.limit || 20,
    show: given.show?.length ? given.show : ['score'],
    legend: given.legend ?? '',
  };
}

/** The settings of an incidents query with every default filled in. */
export function incidentsOf(query: Pick<PortentQuery, 'incidents'>): IncidentsQuery {
  const given = query.incidents ?? {};
  return {
    view: given.view || 'table',
    status: given.status ?? '',
    severity: given.severity ?? [],
    matchers: given.matchers ?? [],
    limit: given.limit || 100,
  };
}

/** The settings of a question with every default filled in. */
export function askOf(query: Pick<PortentQuery, 'ask'>): AskQuery {
  const given = query.ask ?? {};
  return {
    question: given.question ?? '',
    previous: given.previous ?? '',
    view: given.view || 'auto',
    matchers: given.matchers ?? [],
    limit: given.limit ?? 0,
    legend: given.legend ?? '',
    utcOffset: given.utcOffset ?? 0,
    ...(given.timezone ? { timezone: given.timezone } : {}),
    frozen: given.frozen ?? null,
  };
}

/** The settings of a patterns query with every default filled in. */
export function patternsOf(query: Pick<PortentQuery, 'patterns'>): PatternsQuery {
  const given = query.patterns ?? {};
  const view = given.view || 'table';
  return {
    view,
    query: given.query ?? '',
    severity: given.severity ?? [],
    compare: given.compare || (view === 'causes' ? 'previous' : ''),
    change: given.change ?? [],
    pattern: given.pattern ?? '',
    limit: given.limit || (view === 'logs' ? 1000 : 50),
    maxLines: given.maxLines || 20_000,
  };
}

/** The settings of a forecast query with every default filled in. */
export function forecastOf(query: Pick<PortentQuery, 'forecast'>): ForecastQuery {
  const given = query.forecast ?? {};
  return {
    view: given.view || 'timeseries',
    expr: given.expr ?? '',
    metric: given.metric ?? '',
    matchers: given.matchers ?? [],
    horizon: given.horizon || '1d',
    history: given.history ?? '',
    level: given.level || 0.95,
    until: given.until ?? null,
    limit: given.limit || 10,
    show: given.show?.length ? given.show : ['history', 'forecast', 'band'],
    legend: given.legend ?? '',
    unit: given.unit ?? '',
  };
}

/** The addresses of a data source: the keys of `connections` and the prefixes of the secrets. */
export const ADDRESSES = ['prometheus', 'loki', 'receiver', 'model'] as const;
export type Address = (typeof ADDRESSES)[number];

export type Auth = 'none' | 'basic' | 'bearer' | 'forward';

/** How one address is reached. */
export interface Connection {
  auth?: Auth;
  user?: string;
  tlsSkipVerify?: boolean;
  tlsWithCaCert?: boolean;
  tlsClientAuth?: boolean;
  tlsServerName?: string;
  /** Names; the values are the secrets `<address>Header1`, `<address>Header2`, … */
  headers?: string[];
  timeoutSeconds?: number;
  forwardUserAndOrg?: boolean;
}

/** A label that every query of a data source is limited by. */
export interface ScopeMatcher {
  label: string;
  op: '=' | '=~';
  value: string;
}

export const COSTS = ['enforce', 'warn', 'off'] as const;
export type Cost = (typeof COSTS)[number];

/** What is stored for a data source. */
export interface PortentOptions extends DataSourceJsonData {
  prometheusUrl?: string;
  lokiUrl?: string;
  receiverUrl?: string;
  receiverLinkUrl?: string;
  modelUrl?: string;
  modelName?: string;
  /** What the model may take; 0 is no bound. */
  modelTokensPerDay?: number;
  scrapeInterval?: string;
  /** What every query of the data source is limited by. */
  scope?: ScopeMatcher[];
  /** What is done with queries that cost too much. */
  cost?: Cost;
  /** Grafana's own data sources of the same servers, for links into Explore. */
  prometheusUid?: string;
  lokiUid?: string;
  connections?: Partial<Record<Address, Connection>>;
  /** Grafana's own switch: pass the OAuth token of the user on to the data source. */
  oauthPassThru?: boolean;
}

type SecretSuffix = 'Password' | 'Token' | 'TlsCaCert' | 'TlsClientCert' | 'TlsClientKey' | `Header${number}`;

export type SecretKey = `${Address}${SecretSuffix}`;

/** Secrets: written by the editor, never read back. Each belongs to exactly one address. */
export type PortentSecrets = Partial<Record<SecretKey, string>>;

/** What the health check says of one address. */
export interface AddressHealth {
  name: Address;
  url: string;
  ok: boolean;
  message: string;
  latencyMs: number;
}

/** What a suggestion resource answers. */
export interface Suggestions {
  values: string[];
  truncated: boolean;
}
