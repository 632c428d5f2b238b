import {
  AdHocVariableFilter,
  AnnotationQuery,
  AnnotationSupport,
  CoreApp,
  DataSourceGetTagKeysOptions,
  DataSourceGetTagValuesOptions,
  DataSourceInstanceSettings,
  MetricFindValue,
  ScopedVars,
  TimeRange,
} from '@grafana/data';
import { DataSourceWithBackend, getTemplateSrv, TemplateSrv } from '@grafana/runtime';

import { interpolateMatcher, interpolateQuery, Replace } from './interpolate';
import { anomaliesOf, incidentsOf, Matcher, PortentOptions, PortentQuery, QueryType, Suggestions } from './types';

/** What suggestions are narrowed by. */
export interface SuggestionScope {
  for: QueryType;
  metric?: string;
  matchers?: Matcher[];
  range?: TimeRange;
}

export class DataSource extends DataSourceWithBackend<PortentQuery, PortentOptions> {
  private readonly replace: Replace;

  constructor(
    settings: DataSourceInstanceSettings<PortentOptions>,
    private readonly templates: TemplateSrv = getTemplateSrv()
  ) {
    super(settings);
    this.replace = (text, vars, format) => this.templates.replace(text, vars, format);
  }

  annotations: AnnotationSupport<PortentQuery> = {
    // Both have it, so that the editor offers no view whichever type is chosen.
    getDefaultQuery: () => ({
      queryType: 'anomalies',
      anomalies: { view: 'annotations' },
      incidents: { view: 'annotations' },
    }),
    prepareQuery: (annotation: AnnotationQuery<PortentQuery>) => annotationQuery(annotation.target),
  };

  /** What is anomalous now; for alert rules the scores as numbers, since a table cannot be compared with one. */
  getDefaultQuery(app: CoreApp): Partial<PortentQuery> {
    if (app === CoreApp.UnifiedAlerting || app === CoreApp.CloudAlerting) {
      return { queryType: 'anomalies', anomalies: { view: 'numeric' } };
    }
    return { queryType: 'anomalies', anomalies: { view: 'table' } };
  }

  applyTemplateVariables(query: PortentQuery, vars: ScopedVars, filters?: AdHocVariableFilter[]): PortentQuery {
    return interpolateQuery(query, this.replace, vars, filters);
  }

  interpolateVariablesInQueries(
    queries: PortentQuery[],
    vars: ScopedVars,
    filters?: AdHocVariableFilter[]
  ): PortentQuery[] {
    return queries.map((query) => ({
      ...interpolateQuery(query, this.replace, vars, filters),
      datasource: this.getRef(),
    }));
  }

  filterQuery(query: PortentQuery): boolean {
    return !query.hide;
  }

  /** One line for the query history and collapsed query rows. */
  getQueryDisplayText(query: PortentQuery): string {
    const list = (matchers: Matcher[]) => matchers.map((m) => `${m.label}${m.op}${JSON.stringify(m.value)}`).join(', ');
    switch (query.queryType) {
      case 'anomalies': {
        const q = anomaliesOf(query);
        return `Anomalies of ${q.metric || 'all metrics'}{${list(q.matchers)}} as ${q.view}`;
      }
      case 'incidents': {
        const q = incidentsOf(query);
        return `${q.status ? q.status[0].toUpperCase() + q.status.slice(1) + ' incidents' : 'Incidents'}{${list(q.matchers)}} as ${q.view}`;
      }
      default:
        return '';
    }
  }

  /** Metrics that have a score. */
  metrics(text: string, scope: SuggestionScope): Promise<Suggestions> {
    return this.suggest('metrics', text, scope);
  }

  labels(text: string, scope: SuggestionScope): Promise<Suggestions> {
    return this.suggest('labels', text, scope);
  }

  labelValues(label: string, text: string, scope: SuggestionScope): Promise<Suggestions> {
    return this.suggest('label-values', text, scope, { label: this.replace(label) });
  }

  private suggest(path: string, text: string, scope: SuggestionScope, more: Record<string, string> = {}) {
    const matchers = (scope.matchers ?? [])
      .filter((m) => m.label !== '')
      .map((m) => interpolateMatcher(m, this.replace));
    const params: Record<string, string | number> = { for: scope.for, ...more };
    if (text) {
      params.q = text;
    }
    if (scope.metric) {
      params.metric = this.replace(scope.metric);
    }
    if (matchers.length > 0) {
      params.matchers = JSON.stringify(matchers);
    }
    if (scope.range) {
      params.from = scope.range.from.valueOf();
      params.to = scope.range.to.valueOf();
    }
    // The editor shows a failure beside the field, so Grafana's own pop-up would say it twice.
    return this.getResource<Suggestions>(path, params, { showErrorAlert: false });
  }

  async getTagKeys(options?: DataSourceGetTagKeysOptions<PortentQuery>): Promise<MetricFindValue[]> {
    const { values } = await this.labels('', { for: 'anomalies', range: options?.timeRange });
    return values.map((text) => ({ text }));
  }

  async getTagValues(options: DataSourceGetTagValuesOptions<PortentQuery>): Promise<MetricFindValue[]> {
    const { values } = await this.labelValues(options.key, '', { for: 'anomalies', range: options.timeRange });
    return values.map((text) => ({ text }));
  }
}

/** An annotation draws regions, whatever view its query was made with. */
function annotationQuery(query?: PortentQuery): PortentQuery {
  const base: PortentQuery = { ...query, refId: query?.refId ?? 'Anno', queryType: query?.queryType ?? 'anomalies' };
  if (base.queryType === 'incidents') {
    return { ...base, incidents: { ...base.incidents, view: 'annotations' } };
  }
  return { ...base, anomalies: { ...base.anomalies, view: 'annotations' } };
}
