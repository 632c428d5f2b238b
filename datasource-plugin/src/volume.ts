import { askOf, patternsOf, PortentQuery } from './types';

/** The query for how many lines there were, by level, of a query that shows log lines; undefined for others. */
export function volumeQuery(query: PortentQuery): PortentQuery | undefined {
  switch (query.queryType) {
    case 'ask': {
      const ask = askOf(query);
      const lines = ask.frozen?.language === 'logql' && !ask.frozen.parts && /^\s*\{/.test(ask.frozen.query);
      if (!lines || !['auto', 'logs', 'table'].includes(ask.view)) {
        return undefined;
      }
      return { ...query, refId: `volume-${query.refId}`, ask: { ...ask, view: 'volume' } };
    }
    case 'patterns': {
      const patterns = patternsOf(query);
      if (patterns.query.trim() === '') {
        return undefined;
      }
      return {
        ...query,
        refId: `volume-${query.refId}`,
        patterns: { view: 'volume', query: patterns.query, severity: patterns.severity, maxLines: patterns.maxLines },
      };
    }
    default:
      return undefined;
  }
}
