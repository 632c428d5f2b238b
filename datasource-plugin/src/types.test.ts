import { readdirSync, readFileSync } from 'fs';
import path from 'path';

import {
  anomaliesOf,
  askOf,
  defaultThreshold,
  forecastOf,
  incidentsOf,
  patternsOf,
  PortentQuery,
  QUERY_TYPES,
} from './types';

const FIXTURES = path.join(__dirname, '..', 'testdata', 'queries');

interface Fixture {
  query: PortentQuery;
  want?: Pick<PortentQuery, 'queryType' | 'anomalies' | 'incidents' | 'ask' | 'patterns' | 'forecast'>;
  error?: string;
}

function fixtures(): Array<[string, Fixture]> {
  return readdirSync(FIXTURES)
    .filter((file) => file.endsWith('.json'))
    .map((file) => [file, JSON.parse(readFileSync(path.join(FIXTURES, file), 'utf8'))]);
}

describe('the query model', () => {
  it('has fixtures, shared with the backend', () => {
    expect(fixtures().length).toBeGreaterThan(20);
  });

  it.each(fixtures().filter(([, { want }]) => want))(
    'fills in the same defaults as the backend: %s',
    (_, { query, want }) => {
      expect(query.queryType).toBe(want?.queryType);
      const filled = {
        anomalies: anomaliesOf,
        incidents: incidentsOf,
        ask: askOf,
        patterns: patternsOf,
        forecast: forecastOf,
      }[query.queryType](query);
      expect(filled).toEqual(want?.[query.queryType]);
      expect(QUERY_TYPES.filter((type) => want?.[type])).toEqual([query.queryType]);
    }
  );

  it('asks for scores above 1 only where the question is what is anomalous', () => {
    expect(['table', 'annotations', 'timeseries', 'numeric'].map((view) => defaultThreshold(view as 'table'))).toEqual([
      1, 1, 0, 0,
    ]);
  });
});
