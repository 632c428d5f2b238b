import {
  AnnotationQuery,
  CoreApp,
  DataSourceInstanceSettings,
  dateTime,
  dateTimeForTimeZone,
  TimeRange,
} from '@grafana/data';
import { BackendSrvRequest, FetchResponse, setBackendSrv, TemplateSrv } from '@grafana/runtime';
import { of } from 'rxjs';

import { clockOf, DataSource, frozenOf } from './datasource';
import { Explained, PortentOptions, PortentQuery } from './types';

const templates: TemplateSrv = {
  getVariables: () => [{ name: 'ns' } as ReturnType<TemplateSrv['getVariables']>[number]],
  replace: (text = '') => text.replace(/\$ns|\$\{ns\}/g, 'shop'),
  containsTemplate: () => false,
  updateTimeRange: () => undefined,
};

/** A data source whose calls of the backend are recorded and answered with data. */
function datasource(data: unknown = { values: ['b', 'a'], truncated: false }) {
  const requests: BackendSrvRequest[] = [];
  const fetch = (request: BackendSrvRequest) => {
    requests.push(request);
    return of({ data, status: 200, ok: true } as FetchResponse);
  };
  setBackendSrv({ fetch } as unknown as Parameters<typeof setBackendSrv>[0]);
  const settings = {
    id: 1,
    uid: 'P1',
    type: 'portent-aiops-datasource',
    name: 'P',
    jsonData: {},
    meta: { id: 'portent-aiops-datasource' },
  };
  return { ds: new DataSource(settings as unknown as DataSourceInstanceSettings<PortentOptions>, templates), requests };
}

describe('the data source', () => {
  it('asks for what is anomalous first, and for numbers in an alert rule', () => {
    const { ds } = datasource();
    expect(ds.getDefaultQuery(CoreApp.Explore)).toEqual({ queryType: 'anomalies', anomalies: { view: 'table' } });
    expect(ds.getDefaultQuery(CoreApp.UnifiedAlerting)).toEqual({
      queryType: 'anomalies',
      anomalies: { view: 'numeric' },
    });
    expect(ds.getDefaultQuery(CoreApp.CloudAlerting)).toEqual({
      queryType: 'anomalies',
      anomalies: { view: 'numeric' },
    });
  });

  it('replaces variables for queries and for Explore', () => {
    const { ds } = datasource();
    const query: PortentQuery = {
      refId: 'A',
      queryType: 'anomalies',
      anomalies: { matchers: [{ label: 'namespace', op: '=', value: '$ns' }] },
    };
    expect(ds.applyTemplateVariables(query, {}).anomalies?.matchers?.[0].value).toBe('shop');
    const [explored] = ds.interpolateVariablesInQueries([query], {});
    expect(explored.anomalies?.matchers?.[0].value).toBe('shop');
    expect(explored.datasource).toEqual({ type: 'portent-aiops-datasource', uid: 'P1' });
  });

  it('runs what is not hidden', () => {
    const { ds } = datasource();
    expect(ds.filterQuery({ refId: 'A', queryType: 'anomalies' })).toBe(true);
    expect(ds.filterQuery({ refId: 'A', queryType: 'anomalies', hide: true })).toBe(false);
  });

  it('says a query in a line', () => {
    const { ds } = datasource();
    const f = (query: Omit<PortentQuery, 'refId'>) => ds.getQueryDisplayText({ refId: 'A', ...query });
    expect(f({ queryType: 'anomalies' })).toBe('Anomalies of all metrics{} as table');
    expect(
      f({
        queryType: 'anomalies',
        anomalies: { metric: 'up', view: 'numeric', matchers: [{ label: 'job', op: '=~', value: 'a"b' }] },
      })
    ).toBe('Anomalies of up{job=~"a\\"b"} as numeric');
    expect(f({ queryType: 'incidents', incidents: { status: 'open' } })).toBe('Open incidents{} as table');
    expect(f({ queryType: 'incidents' })).toBe('Incidents{} as table');
  });

  it('draws regions for an annotation, whatever its view was', () => {
    const { ds } = datasource();
    const prepare = (target?: PortentQuery) =>
      ds.annotations.prepareQuery?.({ target } as AnnotationQuery<PortentQuery>);
    expect(prepare({ refId: 'Q', queryType: 'anomalies', anomalies: { metric: 'up', view: 'table' } })).toEqual({
      refId: 'Q',
      queryType: 'anomalies',
      anomalies: { metric: 'up', view: 'annotations' },
    });
    expect(prepare({ refId: 'Q', queryType: 'incidents', incidents: { status: 'open' } })?.incidents).toEqual({
      status: 'open',
      view: 'annotations',
    });
    const asked = { question: 'pending pods', view: 'table' as const, limit: 7 };
    expect(prepare({ refId: 'Q', queryType: 'ask', ask: asked })).toEqual({
      refId: 'Q',
      queryType: 'ask',
      ask: { ...asked, view: 'annotations' },
    });
    expect(prepare({ refId: 'Q', queryType: 'ask' })?.ask).toEqual({ view: 'annotations' });
    expect(ds.annotations.getDefaultQuery?.()).toEqual({
      queryType: 'anomalies',
      anomalies: { view: 'annotations' },
      incidents: { view: 'annotations' },
      ask: { view: 'annotations' },
    });
    expect(prepare(undefined)).toEqual({ refId: 'Anno', queryType: 'anomalies', anomalies: { view: 'annotations' } });
  });

  it('asks the backend for suggestions, narrowed by what is chosen', async () => {
    const { ds, requests } = datasource();
    const range = { from: dateTime(1000), to: dateTime(2000), raw: { from: 'now-1h', to: 'now' } };
    const matchers = [
      { label: 'namespace', op: '=' as const, value: '$ns' },
      { label: '', op: '=' as const, value: 'being typed' },
    ];
    const got = await ds.labelValues('pod', 'we', { for: 'anomalies', metric: '$ns_total', matchers, range });
    expect(got.values).toEqual(['b', 'a']);
    expect(requests[0].url).toContain('/resources/label-values');
    expect(requests[0].params).toEqual({
      for: 'anomalies',
      label: 'pod',
      q: 'we',
      metric: 'shop_total',
      matchers: '[{"label":"namespace","op":"=","value":"shop"}]',
      from: 1000,
      to: 2000,
    });
    expect(requests[0].showErrorAlert).toBe(false);
    await ds.labels('', { for: 'incidents' });
    expect(requests[1].params).toEqual({ for: 'incidents' });
  });

  it('offers labels for ad hoc filters', async () => {
    const { ds, requests } = datasource();
    expect(await ds.getTagKeys()).toEqual([{ text: 'b' }, { text: 'a' }]);
    expect(await ds.getTagValues({ key: 'pod', filters: [] })).toEqual([{ text: 'b' }, { text: 'a' }]);
    expect(requests[1].params).toMatchObject({ label: 'pod', for: 'anomalies' });
  });

  it('has a query written for a question, with its variables in it', async () => {
    const answer = { query: 'x{namespace="shop"}', question: 'memory of shop', alternatives: [], language: 'promql' };
    const { ds, requests } = datasource(answer);
    const explained = await ds.explain({ question: 'memory of $ns' });
    expect(explained.query).toBe('x{namespace="$ns"}');
    expect(explained.question).toBe('memory of $ns');
    expect(requests[0]).toMatchObject({ method: 'POST', url: '/api/datasources/uid/P1/resources/explain' });
    expect(requests[0].data).toMatchObject({ ask: { question: 'memory of shop', frozen: null } });
  });

  it('keeps each of several queries, with its variables in it', async () => {
    const part = { title: 'errors', above: 0.01, query: 'x{namespace="shop"}', language: 'promql' };
    const answer = { query: part.query, question: 'q', alternatives: [], language: 'promql', parts: [part] };
    const { ds } = datasource({ ...answer, when: 'since midnight', zone: 'UTC', asked: 1 });
    const explained = await ds.explain({ question: 'what is wrong with $ns' });
    expect(explained.parts).toEqual([{ ...part, query: 'x{namespace="$ns"}' }]);
    expect(frozenOf(explained)).toMatchObject({
      parts: explained.parts,
      when: 'since midnight',
      zone: 'UTC',
      asked: 1,
    });
    expect('parts' in frozenOf({ ...explained, parts: undefined, when: '' } as Explained)).toBe(false);
  });

  it('says where midnight is, by the name of the zone where it is known', () => {
    const at = (zone: string, text: string) => {
      const to = dateTimeForTimeZone(zone, text);
      return { from: to, to, raw: { from: to, to } } as TimeRange;
    };
    expect(clockOf(at('Europe/Berlin', '2026-07-01T12:00:00Z'), 'Europe/Berlin')).toEqual({
      utcOffset: 120,
      timezone: 'Europe/Berlin',
    });
    expect(clockOf(at('Europe/Berlin', '2026-12-01T12:00:00Z'), 'Europe/Berlin').utcOffset).toBe(60);
    expect(clockOf(at('utc', '2026-12-01T12:00:00Z'), 'utc')).toEqual({ utcOffset: 0, timezone: 'UTC' });
    // The browser's zone is not that of a range with another clock.
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    for (const name of [undefined, 'browser', '${__timezone}']) {
      expect(clockOf(at(own, '2026-12-01T12:00:00Z'), name).timezone).toBe(own);
      expect(clockOf(at('Pacific/Chatham', '2026-12-01T12:00:00Z'), name)).toEqual({ utcOffset: 825 });
    }
    expect(clockOf(undefined, 'browser')).toEqual({ utcOffset: 0 });
  });

  it('does not send a query that asks nothing', () => {
    const { ds } = datasource();
    expect(ds.filterQuery({ refId: 'A', queryType: 'ask', ask: { question: ' ' } })).toBe(false);
    expect(ds.filterQuery({ refId: 'A', queryType: 'ask', ask: { question: 'up?' } })).toBe(true);
    expect(ds.filterQuery({ refId: 'A', queryType: 'patterns' })).toBe(false);
    expect(ds.filterQuery({ refId: 'A', queryType: 'forecast' })).toBe(false);
    expect(ds.filterQuery({ refId: 'A', queryType: 'forecast', forecast: { metric: 'up' } })).toBe(true);
    expect(ds.filterQuery({ refId: 'A', queryType: 'anomalies' })).toBe(true);
  });

  it('says each query in one line', () => {
    const { ds } = datasource();
    expect(ds.getQueryDisplayText({ refId: 'A', queryType: 'ask', ask: { question: 'why?' } })).toBe('why?');
    expect(ds.getQueryDisplayText({ refId: 'A', queryType: 'patterns', patterns: { query: '{a="b"}' } })).toBe(
      'Patterns of {a="b"} as table'
    );
    expect(ds.getQueryDisplayText({ refId: 'A', queryType: 'forecast', forecast: { metric: 'up' } })).toBe(
      'Forecast of up, 1d ahead'
    );
  });
});
