import React from 'react';
import { QueryEditorProps } from '@grafana/data';

import type { DataSource } from '../datasource';
import { PortentOptions, PortentQuery } from '../types';
import { AskEditor } from './AskEditor';

/** A variable whose values answer a question: those of the first column of its table. */
export function VariableEditor(props: QueryEditorProps<DataSource, PortentQuery, PortentOptions>) {
  const change = (query: PortentQuery) => {
    props.onChange(query);
    props.onRunQuery();
  };
  return <AskEditor {...props} query={{ ...props.query, queryType: 'ask' }} onQuery={change} plain />;
}
