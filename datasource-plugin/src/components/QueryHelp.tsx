import React from 'react';
import { css } from '@emotion/css';
import { GrafanaTheme2, QueryEditorHelpProps } from '@grafana/data';
import { Button, Stack, useStyles2 } from '@grafana/ui';

import { PortentQuery } from '../types';

interface Example {
  title: string;
  text: string;
  query: Omit<PortentQuery, 'refId'>;
}

export const EXAMPLES: Example[] = [
  {
    title: 'What is anomalous now?',
    text: 'One row for each series whose score was above 1 in the time range: since when, how far, what was expected. A click on the metric opens its graph.',
    query: { queryType: 'anomalies', anomalies: { view: 'table' } },
  },
  {
    title: 'How did the scores go?',
    text: 'The ten series with the greatest scores. 0 to 1 is normal, above 1 is anomalous, for every metric alike.',
    query: { queryType: 'anomalies', anomalies: { view: 'timeseries', limit: 10 } },
  },
  {
    title: 'What was expected?',
    text: 'The input with the band in which it was expected. Choose a metric and labels that leave a few series.',
    query: {
      queryType: 'anomalies',
      anomalies: { view: 'timeseries', metric: 'node_load1', show: ['observed', 'expected', 'band'], limit: 3 },
    },
  },
  {
    title: 'Alert on anomalies',
    text: 'The score of each series as a number: add a threshold of 1 in the alert rule.',
    query: { queryType: 'anomalies', anomalies: { view: 'numeric', limit: 100 } },
  },
  {
    title: 'Which incidents are open?',
    text: 'Incidents with severity, probable cause and tickets. A click on the title opens the incident.',
    query: { queryType: 'incidents', incidents: { view: 'table', status: 'open' } },
  },
  {
    title: 'How many incidents?',
    text: 'Open incidents by severity, as numbers: for a stat panel.',
    query: { queryType: 'incidents', incidents: { view: 'numeric', status: 'open' } },
  },
];

/** The help page of the query editor: examples to run. */
export function QueryHelp({ onClickExample }: QueryEditorHelpProps<PortentQuery>) {
  const styles = useStyles2(getStyles);
  return (
    <div>
      <h2>Portent AIOps</h2>
      <p>
        Portent learns how each series of Prometheus usually behaves and writes a score: 0 to 1 is normal, above 1 is
        anomalous. Alerts become incidents with tickets. This data source shows both.
      </p>
      {EXAMPLES.map(({ title, text, query }) => (
        <div key={title} className={styles.example}>
          <Stack direction="column" gap={1} alignItems="flex-start">
            <h4>{title}</h4>
            <span>{text}</span>
            <Button size="sm" variant="secondary" onClick={() => onClickExample({ refId: 'A', ...query })}>
              Use this query
            </Button>
          </Stack>
        </div>
      ))}
      <h4 className={styles.heading}>Variables</h4>
      <p>
        Metric, labels and legend take dashboard variables. A variable with several values means one of them:{' '}
        <code>namespace = $namespace</code> becomes <code>namespace =~ &quot;shop|pay&quot;</code>. Ad hoc filters of
        the dashboard are added to every query.
      </p>
      <h4 className={styles.heading}>Annotations</h4>
      <p>Used as an annotation, a query draws a region for each anomaly or incident.</p>
    </div>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  example: css({
    padding: theme.spacing(1.5, 0),
    borderBottom: `1px solid ${theme.colors.border.weak}`,
  }),
  heading: css({
    marginTop: theme.spacing(2),
  }),
});
