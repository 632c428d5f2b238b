import React from 'react';
import { render, screen } from '@testing-library/react';

import { DataSource } from '../datasource';
import { PortentQuery } from '../types';
import { QueryEditor } from './QueryEditor';

describe('QueryEditor', () => {
  const show = (query: Omit<PortentQuery, 'refId'>) => {
    const datasource = {
      options: {},
      questions: async () => ({ values: [], truncated: false }),
    } as unknown as DataSource;
    const nothing = () => undefined;
    return render(
      <QueryEditor datasource={datasource} query={{ refId: 'A', ...query }} onChange={nothing} onRunQuery={nothing} />
    );
  };

  it('offers questions in annotations, without a view to choose', () => {
    show({ queryType: 'ask', ask: { question: 'pending pods', view: 'annotations' } });
    expect(screen.getByRole('radio', { name: 'Ask' })).toBeChecked();
    expect(screen.getByRole('radio', { name: 'Anomalies' })).toBeInTheDocument();
    expect(screen.queryByRole('radio', { name: 'Forecast' })).toBeNull();
    expect(screen.getByDisplayValue('pending pods')).toBeInTheDocument();
    expect(screen.queryByRole('radio', { name: 'Time series' })).toBeNull();
    expect(screen.getByRole('spinbutton', { name: /^At most/ })).toHaveAttribute('max', '500');
  });

  it('offers each type and view in panels', () => {
    show({ queryType: 'ask', ask: { question: 'pending pods' } });
    expect(screen.getByRole('radio', { name: 'Forecast' })).toBeInTheDocument();
    expect(screen.getByRole('radio', { name: 'Time series' })).toBeInTheDocument();
  });
});
