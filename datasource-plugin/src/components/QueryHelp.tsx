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
    title: 'Ask in plain English',
    text: 'A question becomes PromQL or LogQL, is checked, and is stored with the panel when it is answered: the panel runs that query until you ask again.',
    query: {
      queryType: 'ask',
      ask: { question: 'which namespaces had the most pod evictions in the last 24 hours?', view: 'auto' },
    },
  },
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
    title: 'What do the logs say?',
    text: 'Thousands of lines as a few patterns, with how often each came and the query that gives its lines. Compared with the time before, what is new stands out.',
    query: {
      queryType: 'patterns',
      patterns: { view: 'table', query: '{job=~".+"} |~ "(?i)error|warn"', compare: 'previous' },
    },
  },
  {
    title: 'When is the disk full?',
    text: 'The series, where it goes, and the band in which it will be. With a limit it says when the limit is met.',
    query: {
      queryType: 'forecast',
      forecast: { view: 'timeseries', metric: 'node_filesystem_avail_bytes', horizon: '4d', until: 0, limit: 3 },
    },
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
        anomalous. Alerts become incidents with tickets. This data source shows both, answers questions from Prometheus
        and Loki, finds the patterns in log lines and says where series go.
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
        Questions, queries, metric, labels and legend take dashboard variables. A variable with several values means one
        of them: <code>namespace = $namespace</code> becomes <code>namespace =~ &quot;shop|pay&quot;</code>. Ad hoc
        filters of the dashboard are added to every query of Prometheus. A question with a variable is stored with the
        variable, so that the panel follows it. The values of a variable can themselves be the answer to a question.
      </p>
      <h4 className={styles.heading}>Annotations</h4>
      <p>
        Used as an annotation, a query draws a region for each anomaly or incident. A question draws one wherever a
        series of its stored query is there and not 0, and one mark for each log line: ask first, because an annotation
        runs nothing but what is stored.
      </p>
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
