import React, { ComponentProps } from 'react';
import { css } from '@emotion/css';
import { RadioButtonGroup } from '@grafana/ui';

/** Radio buttons that take a second line where one is too narrow, rather than cut their words. */
export function Choice<T>(props: ComponentProps<typeof RadioButtonGroup<T>>) {
  return <RadioButtonGroup {...props} className={wrapped} />;
}

const wrapped = css({
  flexWrap: 'wrap',
  maxWidth: '100%',
  '& > *': { flex: '0 0 auto' },
});
