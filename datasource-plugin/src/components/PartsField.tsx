import React, { useId } from 'react';
import { css } from '@emotion/css';
import { GrafanaTheme2 } from '@grafana/data';
import { IconButton, LinkButton, Stack, Text, useStyles2 } from '@grafana/ui';

import { Frozen, FrozenPart, Language } from '../types';
import { CodeField } from './CodeField';

/** What is said below a stored query. */
export const STORED =
  'Stored with the panel: it runs this until somebody asks again. Leave the field or press Shift+Enter to run what you wrote.';

interface Props {
  parts: FrozenPart[];
  explore: (part: Frozen) => string | undefined;
  onEdit: (index: number, text: string) => void;
  onDrop: (index: number) => void;
}

/** The queries of a question that takes several, each with its own link. */
export function PartsField({ parts, explore, onEdit, onDrop }: Props) {
  const id = useId();
  const styles = useStyles2(getStyles);
  return (
    <div role="group" aria-label="Queries">
      <Text color="secondary" variant="bodySmall">
        {parts.length} queries, answered together. {STORED}
      </Text>
      <ul className={styles.list}>
        {parts.map((part, index) => {
          const href = explore(part);
          return (
            <li key={part.title + part.query}>
              <div className={styles.head}>
                <label htmlFor={id + index} className={styles.title}>
                  {part.title} <Text color="secondary">({part.language === 'promql' ? 'PromQL' : 'LogQL'})</Text>
                </label>
                <Stack gap={1} alignItems="center">
                  {href && <ExploreLink language={part.language} href={href} />}
                  {parts.length > 1 && (
                    <IconButton name="trash-alt" tooltip={`Leave out: ${part.title}`} onClick={() => onDrop(index)} />
                  )}
                </Stack>
              </div>
              <CodeField id={id + index} value={part.query} onCommit={(text) => onEdit(index, text)} />
            </li>
          );
        })}
      </ul>
    </div>
  );
}

interface LinkProps {
  language: Language;
  href: string;
}

/** The way to Grafana's own data source of the server. */
export function ExploreLink({ language, href }: LinkProps) {
  return (
    <LinkButton size="sm" variant="secondary" fill="text" icon="compass" href={href} target="_blank">
      {language === 'promql' ? 'Open in Explore on Prometheus' : 'Open in Explore on Loki'}
    </LinkButton>
  );
}

/** The stored question with other parts; the first of them is what runs where one query alone can. */
export function withParts(frozen: Frozen, parts: FrozenPart[]): Frozen {
  const { language, query, unit } = parts[0];
  return { ...frozen, language, query, unit, parts };
}

const getStyles = (theme: GrafanaTheme2) => ({
  list: css({ listStyle: 'none', margin: theme.spacing(0.5, 0, 0), display: 'grid', gap: theme.spacing(1) }),
  head: css({ display: 'flex', flexWrap: 'wrap', justifyContent: 'space-between', alignItems: 'center' }),
  title: css({ margin: 0, fontWeight: theme.typography.fontWeightMedium }),
});
