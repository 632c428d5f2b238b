import { Page } from '@playwright/test';

import type { AskQuery, Explained, Frozen, FrozenPart } from '../../src/types';

const QUESTION = 'which namespaces had the most pod evictions in the last 24 hours?';

/** What the backend writes for that question: the protocol test's golden. */
export const FROZEN: Frozen = {
  question: QUESTION,
  text: QUESTION,
  language: 'promql',
  query: 'topk(10, count by (cluster, namespace) (max_over_time(kube_pod_status_reason{reason="Evicted"}[1d]) == 1))',
  graph: false,
  span: '',
  ago: '',
  step: '',
  unit: '',
  concept: 'evicted pods',
  explanation: 'evicted pods = kube_pod_status_reason; by cluster, namespace; over 1d',
  translator: 'rules',
};

export const EVICTIONS: Partial<AskQuery> = { question: QUESTION, frozen: FROZEN };

const WRONG = 'what is wrong with cart since midnight';

const part = (title: string, query: string, change: Partial<FrozenPart> = {}): FrozenPart => ({
  ...FROZEN,
  question: '',
  text: title + ' of cart',
  title,
  above: 0,
  query,
  concept: title,
  explanation: '',
  ...change,
});

/** A question that takes several queries, as the backend stores it. */
export const SEVERAL: Frozen = {
  ...FROZEN,
  question: WRONG,
  text: WRONG,
  query: 'ALERTS{alertstate="firing",service="cart"}',
  concept: 'cart',
  explanation: 'what is wrong with cart = alerts, errors, error logs',
  when: 'since midnight',
  zone: 'Europe/Berlin',
  asked: 1795330800000,
  parts: [
    part('alerts', 'ALERTS{alertstate="firing",service="cart"}'),
    part(
      'errors',
      'sum(rate(http_requests_total{code=~"5..",service="cart"}[5m])) / sum(rate(http_requests_total{service="cart"}[5m]))',
      { above: 0.01, unit: 'ratio' }
    ),
    part('error logs', '{app="cart"} | logfmt | level="error"', { language: 'logql', graph: true, span: '30m' }),
  ],
};

interface Asked {
  ask: AskQuery;
  from: number;
  to: number;
}

/** Answers the resource explain, and notes what was asked. */
export async function fakeExplain(page: Page, answer: (asked: AskQuery) => Partial<Explained>) {
  const asked: Asked[] = [];
  await page.route('**/resources/explain', (route) => {
    const body: Asked = route.request().postDataJSON();
    asked.push(body);
    return route.fulfill({
      json: {
        ...FROZEN,
        question: body.ask.question,
        text: body.ask.question,
        alternatives: [],
        stored: false,
        ...answer(body.ask),
      },
    });
  });
  return asked;
}
