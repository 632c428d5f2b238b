import {
  CustomVariableSupport,
  DataFrame,
  DataQueryRequest,
  DataQueryResponse,
  FieldType,
  MetricFindValue,
} from '@grafana/data';
import { map, Observable } from 'rxjs';

import type { DataSource } from './datasource';
import { PortentQuery } from './types';
import { VariableEditor } from './components/VariableEditor';

/** The values of a variable: those of the first column of text of a table, each once, in the order of the table. */
export function valuesOf(frames: DataFrame[]): MetricFindValue[] {
  const seen = new Set<string>();
  for (const frame of frames) {
    const column = frame.fields.find(
      (field) => field.type === FieldType.string && field.config.custom?.hidden !== true
    );
    for (const value of column?.values ?? []) {
      if (typeof value === 'string' && value !== '') {
        seen.add(value);
      }
    }
  }
  return [...seen].map((text) => ({ text }));
}

/** Variables whose values answer a question: "namespaces with restarts". */
export class QuestionVariables extends CustomVariableSupport<DataSource, PortentQuery> {
  editor = VariableEditor;

  constructor(private readonly datasource: DataSource) {
    super();
  }

  query(request: DataQueryRequest<PortentQuery>): Observable<DataQueryResponse> {
    const targets = request.targets.map((target) => ({ ...target, ask: { ...target.ask, view: 'table' as const } }));
    return this.datasource
      .query({ ...request, targets })
      .pipe(map((response) => ({ ...response, data: valuesOf(response.data) })));
  }

  getDefaultQuery() {
    return { queryType: 'ask' as const, ask: { view: 'table' as const } };
  }
}
