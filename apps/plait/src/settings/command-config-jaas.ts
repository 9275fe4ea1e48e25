/** `sasl.jaas.config`: one login module and its options, in the form that Kafka's JaasConfig takes. */

/** A login module and its options. */
export interface JaasEntry {
  readonly module: string;
  readonly options: ReadonlyMap<string, string>;
}

const FLAGS = ['required', 'requisite', 'sufficient', 'optional'];
/** A quoted string, or a word, or one of the two signs. */
const TOKEN = /\s*(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|([\w$.-]+)|([=;]))/y;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', a: '\u0007', v: '\u000b' };

interface Token {
  readonly text: string;
  readonly isSign: boolean;
}

/** Throws an Error that says what is wrong and shows nothing of the text, which holds a password. */
export function parseJaas(text: string): JaasEntry {
  const tokens = tokensOf(text.trim());
  const word = (what: string): string => {
    const token = tokens.shift();
    if (token === undefined || token.isSign) throw new Error(`${what} is missing`);
    return token.text;
  };
  const module = word('the login module');
  if (!FLAGS.includes(word('"required"').toLowerCase())) throw new Error('"required" is missing');
  const options = new Map<string, string>();
  while (tokens[0] !== undefined && !isSign(tokens[0], ';')) {
    const name = word('the name of an option');
    if (!isSign(tokens.shift(), '=')) throw new Error('"=" is missing after an option');
    options.set(name, word('the value of an option'));
  }
  if (!isSign(tokens.shift(), ';')) throw new Error('";" is missing at the end');
  if (tokens.length > 0) throw new Error('one login module is allowed');
  return { module, options };
}

function isSign(token: Token | undefined, sign: string): boolean {
  return token?.isSign === true && token.text === sign;
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  for (TOKEN.lastIndex = 0; TOKEN.lastIndex < text.length;) {
    const found = TOKEN.exec(text);
    if (found === null) throw new Error('a string is not closed, or a character that needs quotes stands without');
    const [, double, single, bare, sign] = found;
    const quoted = double ?? single;
    tokens.push({ text: quoted === undefined ? (bare ?? sign ?? '') : unescaped(quoted), isSign: sign !== undefined });
  }
  return tokens;
}

/** As Java's StreamTokenizer: octal numbers, some letters, else the character itself. */
function unescaped(text: string): string {
  return text.replace(/\\([0-3][0-7]{0,2}|[4-7][0-7]?|.)/gs, (_, code: string) =>
    /^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code));
}
