import React, { useEffect, useId, useRef, useState } from 'react';
import { css, cx } from '@emotion/css';
import { GrafanaTheme2 } from '@grafana/data';
import { Input, useStyles2 } from '@grafana/ui';

import { MAX_QUESTION_BYTES, Suggestions } from '../types';

interface Props {
  id: string;
  value: string;
  placeholder: string;
  disabled?: boolean;
  suggest: (text: string) => Promise<Suggestions>;
  onChange: (text: string) => void;
  /** Enter was pressed, or a suggestion was chosen with it. */
  onAsk: (text: string) => void;
}

/** How long to wait for the next key before suggestions are asked for. */
const PAUSE_MS = 250;

/** A text field for a question, with whole questions suggested as one types. */
export function QuestionBox({ id, value, placeholder, disabled, suggest, onChange, onAsk }: Props) {
  const styles = useStyles2(getStyles);
  const listId = useId();
  const [open, setOpen] = useState(false);
  const [options, setOptions] = useState<string[]>([]);
  const [active, setActive] = useState(-1);
  const typed = useRef(0);

  useEffect(() => {
    if (!open) {
      return undefined;
    }
    const turn = ++typed.current;
    const timer = setTimeout(() => {
      suggest(value).then(
        ({ values }) => {
          if (turn === typed.current) {
            setOptions(values);
            setActive(-1);
          }
        },
        () => setOptions([]) // a question can be asked without them
      );
    }, PAUSE_MS);
    return () => clearTimeout(timer);
    // The function is another one at each render.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [value, open]);

  const close = () => {
    typed.current++;
    setOpen(false);
    setOptions([]);
    setActive(-1);
  };
  const choose = (text: string) => {
    close();
    onChange(text);
  };
  const keys: Record<string, () => void> = {
    ArrowDown: () => (open ? setActive(Math.min(active + 1, options.length - 1)) : setOpen(true)),
    ArrowUp: () => setActive(Math.max(active - 1, -1)),
    Escape: close,
    Enter: () => {
      const text = options[active] ?? value;
      choose(text);
      onAsk(text);
    },
  };
  const shown = open && options.length > 0;

  return (
    <div className={styles.box}>
      <Input
        id={id}
        role="combobox"
        aria-expanded={shown}
        aria-controls={listId}
        aria-autocomplete="list"
        aria-activedescendant={shown && active >= 0 ? `${listId}-${active}` : undefined}
        autoComplete="off"
        maxLength={MAX_QUESTION_BYTES}
        placeholder={placeholder}
        disabled={disabled}
        value={value}
        onChange={(event) => {
          setOpen(true);
          onChange(event.currentTarget.value);
        }}
        onBlur={close}
        onKeyDown={(event) => {
          const act = keys[event.key];
          if (act && !event.nativeEvent.isComposing) {
            event.preventDefault();
            act();
          }
        }}
      />
      <ul id={listId} role="listbox" aria-label="Suggested questions" className={styles.list} hidden={!shown}>
        {options.map((option, at) => (
          <li
            key={option}
            id={`${listId}-${at}`}
            role="option"
            aria-selected={at === active}
            className={cx(styles.option, at === active && styles.active)}
            // Before the field loses the focus, which would close the list.
            onMouseDown={(event) => {
              event.preventDefault();
              choose(option);
            }}
          >
            {option}
          </li>
        ))}
      </ul>
    </div>
  );
}

const getStyles = (theme: GrafanaTheme2) => ({
  box: css({ position: 'relative', width: '100%' }),
  list: css({
    position: 'absolute',
    zIndex: theme.zIndex.dropdown,
    top: '100%',
    left: 0,
    right: 0,
    maxHeight: 300,
    overflowY: 'auto',
    margin: theme.spacing(0.5, 0, 0),
    padding: theme.spacing(0.5),
    listStyle: 'none',
    background: theme.colors.background.elevated ?? theme.colors.background.primary,
    border: `1px solid ${theme.colors.border.weak}`,
    borderRadius: theme.shape.radius.default,
    boxShadow: theme.shadows.z3,
  }),
  option: css({
    padding: theme.spacing(0.75, 1),
    borderRadius: theme.shape.radius.default,
    cursor: 'pointer',
    overflowWrap: 'anywhere',
    '&:hover': { background: theme.colors.action.hover },
  }),
  active: css({ background: theme.colors.action.focus }),
});
