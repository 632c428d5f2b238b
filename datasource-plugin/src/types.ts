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
}

export const QUERY_TYPES = ['anomalies', 'incidents'] as const;
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

export const MAX_LIMIT = 1000;

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

/** What is stored for a data source. */
export interface PortentOptions extends DataSourceJsonData {
  prometheusUrl?: string;
  lokiUrl?: string;
  receiverUrl?: string;
  receiverLinkUrl?: string;
  modelUrl?: string;
  modelName?: string;
  scrapeInterval?: string;
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
