/** What a piece of a query is, for its colour. */
export type TokenKind = 'function' | 'keyword' | 'label' | 'string' | 'number' | 'variable' | 'comment' | 'plain';

export interface Token {
  kind: TokenKind;
  text: string;
}

const KEYWORDS = new Set(
  (
    'by without on ignoring group_left group_right and or unless offset bool ' +
    'json logfmt regexp pattern unpack unwrap line_format label_format drop keep decolorize'
  ).split(' ')
);

/** In this order: a string may hold anything, a comment too. */
const PIECES: Array<[TokenKind | 'name', RegExp]> = [
  ['comment', /^#[^\n]*/],
  ['string', /^"(?:[^"\\\n]|\\.)*"?|^'(?:[^'\\\n]|\\.)*'?|^`[^`]*`?/],
  ['variable', /^\$\{[^}\s]*\}?|^\$\w+|^\[\[\w+\]\]/],
  ['number', /^(?:\d+(?:\.\d+)?(?:ms|[smhdwy]|[kKMGT]?i?B)?)+(?:e[+-]?\d+)?/],
  ['name', /^[A-Za-z_:][\w:]*/],
  ['plain', /^\s+|^[^\s\w"'`$#]/],
];

/** Cuts PromQL or LogQL into coloured pieces. Together they are the text, whether it is a query or not. */
export function highlight(text: string): Token[] {
  const tokens: Token[] = [];
  let braces = 0;
  let rest = text;
  while (rest !== '') {
    const [kind, piece] = next(rest);
    rest = rest.slice(piece.length);
    if (piece === '{') {
      braces++;
    } else if (piece === '}') {
      braces = Math.max(0, braces - 1);
    }
    tokens.push({ kind: kind === 'name' ? nameKind(piece, rest, braces > 0) : kind, text: piece });
  }
  return tokens;
}

function next(text: string): [TokenKind | 'name', string] {
  for (const [kind, pattern] of PIECES) {
    const match = pattern.exec(text);
    if (match && match[0] !== '') {
      return [kind, match[0]];
    }
  }
  return ['plain', text[0]];
}

function nameKind(name: string, rest: string, inBraces: boolean): TokenKind {
  if (inBraces) {
    return 'label';
  }
  if (KEYWORDS.has(name)) {
    return 'keyword';
  }
  return /^\s*(?:by\b|without\b)?\s*\(/.test(rest) ? 'function' : 'plain';
}
