import { readdirSync, readFileSync } from 'fs';
import path from 'path';

import { anomaliesOf, defaultThreshold, incidentsOf, PortentQuery } from './types';

const FIXTURES = path.join(__dirname, '..', 'testdata', 'queries');

interface Fixture {
  query: PortentQuery;
  want?: Pick<PortentQuery, 'queryType' | 'anomalies' | 'incidents'>;
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
      if (want?.anomalies) {
        expect(anomaliesOf(query)).toEqual(want.anomalies);
      }
      if (want?.incidents) {
        expect(incidentsOf(query)).toEqual(want.incidents);
      }
      expect(Boolean(want?.anomalies) !== Boolean(want?.incidents)).toBe(true);
    }
  );

  it('asks for scores above 1 only where the question is what is anomalous', () => {
    expect(['table', 'annotations', 'timeseries', 'numeric'].map((view) => defaultThreshold(view as 'table'))).toEqual([
      1, 1, 0, 0,
    ]);
  });
});
