import {
  AdHocVariableFilter,
  AnnotationQuery,
  AnnotationSupport,
  CoreApp,
  DataQueryRequest,
  DataSourceGetTagKeysOptions,
  DataSourceGetTagValuesOptions,
  DataSourceInstanceSettings,
  DataSourceWithSupplementaryQueriesSupport,
  dateTimeForTimeZone,
  MetricFindValue,
  ScopedVars,
  SupplementaryQueryOptions,
  SupplementaryQueryType,
  TimeRange,
} from '@grafana/data';
import { DataSourceWithBackend, getTemplateSrv, TemplateSrv } from '@grafana/runtime';

import { AskError, askByStream, Question, Stage } from './asking';
import { followVariables, interpolateMatcher, interpolateQuery, Replace, spoken } from './interpolate';
import {
  anomaliesOf,
  askOf,
  AskQuery,
  Explained,
  forecastOf,
  Frozen,
  incidentsOf,
  Matcher,
  patternsOf,
  PortentOptions,
  PortentQuery,
  QueryType,
  Suggestions,
} from './types';
import { QuestionVariables } from './variables';
import { volumeQuery } from './volume';

/** What suggestions are narrowed by. */
export interface SuggestionScope {
  for: QueryType;
  metric?: string;
  matchers?: Matcher[];
  range?: TimeRange;
}

export class DataSource
  extends DataSourceWithBackend<PortentQuery, PortentOptions>
  implements DataSourceWithSupplementaryQueriesSupport<PortentQuery>
{
  readonly options: PortentOptions;
  private readonly replace: Replace;

  constructor(
    settings: DataSourceInstanceSettings<PortentOptions>,
    private readonly templates: TemplateSrv = getTemplateSrv()
  ) {
    super(settings);
    this.options = settings.jsonData ?? {};
    this.variables = new QuestionVariables(this);
    this.replace = (text, vars, format) => this.templates.replace(text, vars, format);
  }

  annotations: AnnotationSupport<PortentQuery> = {
    // All have it, so that the editor offers no view whichever type is chosen.
    getDefaultQuery: () => ({
      queryType: 'anomalies',
      anomalies: { view: 'annotations' },
      incidents: { view: 'annotations' },
      ask: { view: 'annotations' },
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
    return !query.hide && this.complete(query);
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
      case 'ask':
        return askOf(query).question;
      case 'patterns': {
        const q = patternsOf(query);
        return `Patterns of ${q.query} as ${q.view}`;
      }
      case 'forecast': {
        const q = forecastOf(query);
        return `Forecast of ${q.expr || q.metric}, ${q.horizon} ahead`;
      }
      default:
        return '';
    }
  }

  /** A query that asks nothing yet is not sent. */
  private complete(query: PortentQuery): boolean {
    switch (query.queryType) {
      case 'ask':
        return askOf(query).question.trim() !== '' || askOf(query).frozen !== null;
      case 'patterns':
        return patternsOf(query).query.trim() !== '';
      case 'forecast':
        return forecastOf(query).metric !== '' || forecastOf(query).expr.trim() !== '';
      default:
        return true;
    }
  }

  query(request: DataQueryRequest<PortentQuery>) {
    const clock = clockOf(request.range, request.timezone);
    const targets = request.targets.map((target) =>
      target.queryType === 'ask' ? { ...target, ask: { ...target.ask, ...clock } } : target
    );
    return super.query({ ...request, targets });
  }

  /** Explore's log volume: the lines of a query that shows log lines, by level. */
  getSupportedSupplementaryQueryTypes(): SupplementaryQueryType[] {
    return [SupplementaryQueryType.LogsVolume];
  }

  getSupplementaryQuery(options: SupplementaryQueryOptions, query: PortentQuery): PortentQuery | undefined {
    return options.type === SupplementaryQueryType.LogsVolume ? volumeQuery(query) : undefined;
  }

  getSupplementaryRequest(
    type: SupplementaryQueryType,
    request: DataQueryRequest<PortentQuery>
  ): DataQueryRequest<PortentQuery> | undefined {
    const targets = request.targets
      .filter((target) => !target.hide)
      .map((target) => this.getSupplementaryQuery({ type }, target))
      .filter((target) => target !== undefined);
    return targets.length > 0 ? { ...request, requestId: `${request.requestId}-volume`, targets } : undefined;
  }

  /** Whole questions for the text typed so far. */
  questions(text: string): Promise<Suggestions> {
    return this.getResource<Suggestions>('suggest', { q: text, limit: 12 }, { showErrorAlert: false });
  }

  /**
   * Has a query written for a question, or checks one that a person wrote (`frozen`). Variables in the question stay
   * variables in the query.
   */
  async explain(ask: Partial<AskQuery>, range?: TimeRange, onStage?: (stage: Stage) => void): Promise<Explained> {
    const raw = askOf({ ask });
    const { ask: sent } = interpolateQuery({ refId: 'A', queryType: 'ask', ask: raw }, this.replace);
    const question: Question = {
      ask: { ...sent, ...clockOf(range, this.replace('${__timezone}')) },
      from: range?.from.valueOf(),
      to: range?.to.valueOf(),
    };
    const explained = await this.asked(question, raw.frozen === null ? onStage : undefined);
    const several = (name: string) => {
      const known = this.templates.getVariables().find((variable) => variable.name === name);
      return known !== undefined && 'multi' in known && Boolean(known.multi || known.includeAll);
    };
    const follow = (query: string) => followVariables(query, raw.question, this.replace, several);
    return {
      ...explained,
      question: raw.question,
      query: raw.frozen?.query ?? follow(explained.query),
      ...(explained.parts && {
        parts: raw.frozen?.parts ?? explained.parts.map((part) => ({ ...part, query: follow(part.query) })),
      }),
    };
  }

  private async asked(question: Question, onStage?: (stage: Stage) => void): Promise<Explained> {
    // Only a language model takes long enough to tell what it does.
    if (onStage && this.options.modelUrl) {
      try {
        return await askByStream(this.uid, question, onStage);
      } catch (error) {
        if (error instanceof AskError) {
          throw error;
        }
      }
    }
    return this.postResource<Explained>('explain', question, { showErrorAlert: false });
  }

  /** A text with variables as they are said in a question. */
  said(text: string): string {
    return this.replace(text, undefined, spoken);
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
    const { values } = await this.labels('', { for: labelsFor(options?.queries), range: options?.timeRange });
    return values.map((text) => ({ text }));
  }

  async getTagValues(options: DataSourceGetTagValuesOptions<PortentQuery>): Promise<MetricFindValue[]> {
    const scope = { for: labelsFor(options.queries), range: options.timeRange };
    const { values } = await this.labelValues(options.key, '', scope);
    return values.map((text) => ({ text }));
  }
}

/** Whose labels the ad hoc filters of a dashboard offer: of all series where a panel asks about more than scores. */
function labelsFor(queries: PortentQuery[] = []): QueryType {
  return queries.some((query) => query.queryType === 'ask' || query.queryType === 'forecast')
    ? 'forecast'
    : 'anomalies';
}

/** Minutes that a dashboard's clock is ahead of UTC at the end of its range. */
export function utcOffset(range?: TimeRange, timezone?: string): number {
  if (timezone === 'utc' || !range) {
    return 0;
  }
  return known(timezone) ? dateTimeForTimeZone(timezone, range.to.valueOf()).utcOffset() : range.to.utcOffset();
}

/** Where midnight is for whoever looks at a dashboard. The zone is left out where it is not known. */
export function clockOf(range?: TimeRange, timezone?: string): Pick<AskQuery, 'utcOffset' | 'timezone'> {
  const offset = utcOffset(range, timezone);
  if (timezone === 'utc') {
    return { utcOffset: offset, timezone: 'UTC' };
  }
  const zone = known(timezone) ? timezone : Intl.DateTimeFormat().resolvedOptions().timeZone;
  const agrees = range && zone && dateTimeForTimeZone(zone, range.to.valueOf()).utcOffset() === offset;
  return agrees ? { utcOffset: offset, timezone: zone } : { utcOffset: offset };
}

/** Reports whether a dashboard's zone is one by name; an empty one and `browser` are the browser's. */
function known(timezone?: string): timezone is string {
  return Boolean(timezone) && timezone !== 'browser' && !timezone?.includes('$');
}

/** What a panel keeps of an answer. */
export function frozenOf(explained: Frozen): Frozen {
  const { question, text, language, query, graph, span, ago, step, unit, concept, explanation, translator } = explained;
  const { when, zone, asked, parts } = explained;
  return {
    ...{ question, text, language, query, graph, span, ago, step, unit, concept, explanation, translator },
    ...(when && { when, zone, asked }),
    ...(parts?.length && { parts }),
  };
}

/** An annotation draws regions, whatever view its query was made with. */
function annotationQuery(query?: PortentQuery): PortentQuery {
  const base: PortentQuery = { ...query, refId: query?.refId ?? 'Anno', queryType: query?.queryType ?? 'anomalies' };
  if (base.queryType === 'incidents') {
    return { ...base, incidents: { ...base.incidents, view: 'annotations' } };
  }
  if (base.queryType === 'ask') {
    return { ...base, ask: { ...base.ask, view: 'annotations' } };
  }
  return { ...base, anomalies: { ...base.anomalies, view: 'annotations' } };
}
