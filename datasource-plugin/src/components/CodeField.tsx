import React, { ReactNode, useState } from 'react';
import { css } from '@emotion/css';
import { GrafanaTheme2 } from '@grafana/data';
import { useStyles2 } from '@grafana/ui';

import { highlight, TokenKind } from '../highlight';

interface Props {
  id: string;
  /** For a screen reader, where no label names the field. */
  label?: string;
  value: string;
  placeholder?: string;
  disabled?: boolean;
  /** The field was left, or Ctrl+Enter or Shift+Enter pressed, with another text. */
  onCommit: (text: string) => void;
}

/** A query with syntax colours: a text area whose own text cannot be seen, over the same text in colours. */
export function CodeField({ id, label, value, placeholder, disabled, onCommit }: Props) {
  const styles = useStyles2(getStyles);
  const [draft, setDraft] = useState<string>();
  const text = draft ?? value;
  const commit = () => {
    setDraft(undefined);
    if (text !== value) {
      onCommit(text);
    }
  };
  return (
    <div className={styles.field}>
      <pre aria-hidden="true" className={styles.colours}>
        <Code text={text} />
        {/* A line break at the end has no height of its own. */}
        {'\u200b'}
      </pre>
      <textarea
        id={id}
        aria-label={label}
        className={styles.area}
        rows={1}
        spellCheck={false}
        autoCapitalize="off"
        autoCorrect="off"
        placeholder={placeholder}
        disabled={disabled}
        value={text}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onBlur={commit}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey || event.shiftKey)) {
            event.preventDefault();
            commit();
          }
        }}
      />
    </div>
  );
}

/** A query in colours, to read only. */
export function Code({ text }: { text: string }): ReactNode {
  const styles = useStyles2(getColours);
  return highlight(text).map(({ kind, text: piece }, at) => (
    <span key={at} className={styles[kind]}>
      {piece}
    </span>
  ));
}

const getColours = (theme: GrafanaTheme2): Record<TokenKind, string> => {
  const colour = (name: string) => css({ color: theme.visualization.getColorByName(name) });
  // Of each hue the shade that can be read on this background.
  const shade = theme.isDark ? '' : 'dark-';
  return {
    function: colour(theme.isDark ? 'light-blue' : 'dark-blue'),
    keyword: colour(theme.isDark ? 'light-purple' : 'dark-purple'),
    label: colour(theme.isDark ? 'super-light-yellow' : 'dark-orange'),
    string: colour(theme.isDark ? 'light-green' : 'dark-green'),
    number: colour(`${shade}orange`),
    variable: colour(theme.isDark ? 'light-red' : 'dark-red'),
    comment: css({ color: theme.colors.text.secondary, fontStyle: 'italic' }),
    plain: css({ color: theme.colors.text.primary }),
  };
};

const getStyles = (theme: GrafanaTheme2) => {
  // Both must lay out the text alike, to the last pixel.
  const layout = {
    gridArea: '1 / 1',
    margin: 0,
    padding: theme.spacing(0.75, 1),
    border: 'none',
    fontFamily: theme.typography.fontFamilyMonospace,
    fontSize: theme.typography.bodySmall.fontSize,
    lineHeight: 1.6,
    letterSpacing: 'normal',
    whiteSpace: 'pre-wrap',
    overflowWrap: 'anywhere',
    wordBreak: 'normal',
    tabSize: 2,
    minWidth: 0,
  } as const;
  return {
    field: css({
      display: 'grid',
      width: '100%',
      background: theme.components.input.background,
      border: `1px solid ${theme.components.input.borderColor}`,
      borderRadius: theme.shape.radius.default,
      '&:focus-within': { outline: `2px solid ${theme.colors.primary.main}`, outlineOffset: 1 },
    }),
    colours: css({ ...layout, background: 'none', borderRadius: 0, pointerEvents: 'none' }),
    area: css({
      ...layout,
      width: '100%',
      height: '100%',
      minHeight: theme.spacing(4),
      resize: 'none',
      overflow: 'hidden',
      background: 'transparent',
      color: 'transparent',
      caretColor: theme.colors.text.primary,
      outline: 'none',
      '&::placeholder': { color: theme.colors.text.disabled },
      '&:disabled': { cursor: 'not-allowed' },
    }),
  };
};
