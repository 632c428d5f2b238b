import { FieldType, toDataFrame } from '@grafana/data';

import { Frozen, PortentQuery } from './types';
import { valuesOf } from './variables';
import { volumeQuery } from './volume';

function asked(language: Frozen['language'], query: string, view?: 'numeric'): PortentQuery {
  return { refId: 'A', queryType: 'ask', ask: { question: 'q', view, frozen: { language, query } as Frozen } };
}

describe('the log volume of Explore', () => {
  it('is of log lines alone', () => {
    expect(volumeQuery(asked('logql', '{app="cart"} |= "x"'))).toMatchObject({
      refId: 'volume-A',
      ask: { view: 'volume', frozen: { query: '{app="cart"} |= "x"' } },
    });
    expect(volumeQuery(asked('logql', 'sum(count_over_time({app="cart"}[1m]))'))).toBeUndefined();
    expect(volumeQuery(asked('logql', '{app="cart"}', 'numeric'))).toBeUndefined();
    expect(volumeQuery(asked('promql', '{app="cart"}'))).toBeUndefined();
    expect(volumeQuery({ refId: 'A', queryType: 'anomalies' })).toBeUndefined();
    const several = asked('logql', '{app="cart"}');
    several.ask = { ...several.ask, frozen: { ...several.ask?.frozen, parts: [] } as unknown as Frozen };
    expect(volumeQuery(several)).toBeUndefined();
  });

  it('is of the lines behind patterns, without comparison', () => {
    const query: PortentQuery = {
      refId: 'B',
      queryType: 'patterns',
      patterns: { view: 'causes', query: '{app="cart"}', compare: '1d', change: ['new'], severity: ['error'] },
    };
    expect(volumeQuery(query)?.patterns).toEqual({
      view: 'volume',
      query: '{app="cart"}',
      severity: ['error'],
      maxLines: 20_000,
    });
    expect(volumeQuery({ refId: 'B', queryType: 'patterns' })).toBeUndefined();
  });
});

describe('the values of a variable', () => {
  it('are those of the first column of text, each once', () => {
    const frame = toDataFrame({
      fields: [
        { name: 'cluster', type: FieldType.string, values: ['a', 'a'], config: { custom: { hidden: true } } },
        { name: 'namespace', type: FieldType.string, values: ['shop', 'pay', 'shop', ''] },
        { name: 'pod', type: FieldType.string, values: ['x', 'y', 'z', 'w'] },
        { name: 'Value', type: FieldType.number, values: [3, 2, 1, 0] },
      ],
    });
    expect(valuesOf([frame])).toEqual([{ text: 'shop' }, { text: 'pay' }]);
    expect(valuesOf([])).toEqual([]);
  });
});
