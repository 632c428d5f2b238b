import { highlight, TokenKind } from './highlight';

function kinds(text: string): Array<[TokenKind, string]> {
  return highlight(text)
    .filter(({ text: piece }) => piece.trim() !== '')
    .map(({ kind, text: piece }) => [kind, piece]);
}

describe('highlight', () => {
  it('colours PromQL', () => {
    expect(kinds('sum by (pod) (rate(http_requests_total{code=~"5.."}[$__rate_interval])) > 0.5')).toEqual([
      ['function', 'sum'],
      ['keyword', 'by'],
      ['plain', '('],
      ['plain', 'pod'],
      ['plain', ')'],
      ['plain', '('],
      ['function', 'rate'],
      ['plain', '('],
      ['plain', 'http_requests_total'],
      ['plain', '{'],
      ['label', 'code'],
      ['plain', '='],
      ['plain', '~'],
      ['string', '"5.."'],
      ['plain', '}'],
      ['plain', '['],
      ['variable', '$__rate_interval'],
      ['plain', ']'],
      ['plain', ')'],
      ['plain', ')'],
      ['plain', '>'],
      ['number', '0.5'],
    ]);
  });

  it('colours LogQL', () => {
    const found = kinds('{app="cart"} |= `too "many"` | json | duration > 10ms # slow');
    expect(found).toContainEqual(['string', '`too "many"`']);
    expect(found).toContainEqual(['keyword', 'json']);
    expect(found).toContainEqual(['number', '10ms']);
    expect(found).toContainEqual(['comment', '# slow']);
  });

  it.each([
    '',
    '"never ends',
    '`nor this',
    '}}}{{{',
    '\\\n\t\u0000',
    'ärger "ü" ${a',
    '#',
    "'a\\'b' [[x]] $",
    '"a\nb"',
    '1.5e+3GiB',
    '\u{1F600}',
  ])('loses nothing of %j', (text) => {
    expect(
      highlight(text)
        .map((token) => token.text)
        .join('')
    ).toBe(text);
  });

  it('is fast on a long text that is no query', () => {
    const text = '"'.repeat(20_000) + 'x{'.repeat(5_000);
    const start = performance.now();
    expect(
      highlight(text)
        .map((token) => token.text)
        .join('')
    ).toBe(text);
    expect(performance.now() - start).toBeLessThan(2000);
  });
});
