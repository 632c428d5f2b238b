import { DataSourceInstanceSettings, rangeUtil, TimeRange, urlUtil } from '@grafana/data';

import { Frozen, Language, PortentOptions } from './types';

/** The part of a data source's settings that a link needs. */
export type Known = Pick<DataSourceInstanceSettings, 'uid' | 'type' | 'isDefault'>;

/** Grafana's own data source of the server that answers a language: the configured one, the default one, or the only one. */
export function nativeDataSource(
  language: Language,
  options: Pick<PortentOptions, 'prometheusUid' | 'lokiUid'>,
  list: (type: string) => Known[]
): { uid: string; type: string } | undefined {
  const type = language === 'promql' ? 'prometheus' : 'loki';
  const uid = language === 'promql' ? options.prometheusUid : options.lokiUid;
  if (uid) {
    return { uid, type };
  }
  const all = list(type);
  const found = all.find((one) => one.isDefault) ?? (all.length === 1 ? all[0] : undefined);
  return found && { uid: found.uid, type };
}

/** The address of Explore with a query on that data source. */
export function exploreUrl(
  base: string,
  source: { uid: string; type: string },
  frozen: Pick<Frozen, 'query' | 'graph'>,
  range?: TimeRange
): string {
  const query = {
    refId: 'A',
    datasource: source,
    expr: frozen.query,
    ...(source.type === 'prometheus'
      ? { range: true, instant: !frozen.graph, editorMode: 'code' }
      : { queryType: 'range' }),
  };
  const panes = {
    portent: { datasource: source.uid, queries: [query], range: range && rangeUtil.convertRawToRange(range.raw).raw },
  };
  const parameters = { schemaVersion: 1, panes: JSON.stringify(panes) };
  return urlUtil.renderUrl(`${base}/explore`, parameters);
}
