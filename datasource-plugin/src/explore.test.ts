import { dateTime } from '@grafana/data';

import { exploreUrl, Known, nativeDataSource } from './explore';

const known = (uid: string, isDefault = false): Known => ({ uid, type: 'prometheus', isDefault });

describe('the link into Explore', () => {
  it('goes to the configured data source, the default one, or the only one', () => {
    const list =
      (...all: Known[]) =>
      () =>
        all;
    expect(nativeDataSource('promql', { prometheusUid: 'p1' }, list(known('p2')))?.uid).toBe('p1');
    expect(nativeDataSource('promql', {}, list(known('p1'), known('p2', true)))?.uid).toBe('p2');
    expect(nativeDataSource('promql', {}, list(known('p1')))).toEqual({ uid: 'p1', type: 'prometheus' });
    expect(nativeDataSource('promql', {}, list(known('p1'), known('p2')))).toBeUndefined();
    expect(nativeDataSource('logql', { prometheusUid: 'p1' }, list())).toBeUndefined();
    expect(nativeDataSource('logql', { lokiUid: 'l1' }, list())).toEqual({ uid: 'l1', type: 'loki' });
  });

  it('carries the query as it is, whatever is in it', () => {
    const hostile = 'up{a="&panes={}#\u00e4 <b>\\"$x\\"</b>"}';
    const range = { from: dateTime(0), to: dateTime(1000), raw: { from: 'now-1h', to: 'now' } };
    const url = new URL(
      exploreUrl('/grafana', { uid: 'p1', type: 'prometheus' }, { query: hostile, graph: false }, range),
      'http://x'
    );
    expect(url.pathname).toBe('/grafana/explore');
    expect(url.hash).toBe('');
    const { portent } = JSON.parse(url.searchParams.get('panes') ?? '');
    expect(portent.datasource).toBe('p1');
    expect(portent.range).toEqual({ from: 'now-1h', to: 'now' });
    expect(portent.queries[0]).toMatchObject({ expr: hostile, instant: true, datasource: { uid: 'p1' } });
  });
});
