/** Reads TypeScript without a compiler: where comments and texts are, where functions begin and end, what is imported. */

/** A source with its comments, and in `code` also the insides of its strings, replaced by blanks; lines stay in place. */
export interface Blanked {
  readonly code: string;
  readonly withStrings: string;
}

/** A slash after one of these begins a regular expression, after anything else it divides. */
const BEFORE_REGEX = /(^|[=(,:;!&|?{}[+\-*%<>~^]|\b(return|typeof|case|in|of|await|yield|throw|else|do|void))\s*$/;

/** What stands at `at`: its end, and whether it is a comment or a text; undefined for plain code. */
function tokenAt(text: string, at: number): { readonly end: number; readonly kind: 'comment' | 'string' } | undefined {
  const two = text.slice(at, at + 2);
  if (two === '//') return { end: endOf(text.indexOf('\n', at), text), kind: 'comment' };
  if (two === '/*') return { end: endOf(text.indexOf('*/', at + 2) + 2, text), kind: 'comment' };
  const quote = text[at];
  if (quote === "'" || quote === '"') return { end: closing(text, at + 1, quote), kind: 'string' };
  if (quote === '/' && BEFORE_REGEX.test(text.slice(Math.max(0, at - 40), at))) return { end: regexEnd(text, at + 1), kind: 'string' };
  return undefined;
}

const endOf = (found: number, text: string): number => (found <= 0 ? text.length : found);

function closing(text: string, from: number, quote: string): number {
  let at = from;
  while (at < text.length && text[at] !== quote) at += text[at] === '\\' ? 2 : 1;
  return Math.min(at + 1, text.length);
}

function regexEnd(text: string, from: number): number {
  let inClass = false;
  let at = from;
  for (; at < text.length && text[at] !== '\n' && (inClass || text[at] !== '/'); at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '[') inClass = true;
    else if (text[at] === ']') inClass = false;
  }
  return Math.min(at + 1, text.length);
}

const blank = (text: string): string => text.replace(/[^\n]/g, ' ');

/** Blanks comments, strings, regular expressions and the literal parts of templates. */
export function blanked(text: string): Blanked {
  let code = '';
  let withStrings = '';
  /** For each template that is open: how many braces are open in its `${…}`; −1 in its literal part. */
  const templates: number[] = [];
  for (let at = 0; at < text.length; ) {
    const char = text[at] as string;
    const inLiteral = templates.at(-1) === -1;
    const token = inLiteral ? undefined : tokenAt(text, at);
    if (token !== undefined) {
      const part = text.slice(at, token.end);
      code += token.kind === 'string' ? `'${blank(part.slice(2))}'` : blank(part);
      withStrings += token.kind === 'string' ? part : blank(part);
      at = token.end;
      continue;
    }
    const endsHole = char === '}' && templates.at(-1) === 0;
    const length = inLiteral ? literalStep(text, at, templates) : codeStep(char, templates);
    const part = text.slice(at, at + length);
    code += (inLiteral && part !== '`') || endsHole ? blank(part) : part;
    withStrings += part;
    at += length;
  }
  return { code, withStrings };
}

/** One step inside a template's literal part; how many characters it took. */
function literalStep(text: string, at: number, templates: number[]): number {
  if (text[at] === '\\') return 2;
  if (text[at] === '`') templates.pop();
  if (text.slice(at, at + 2) !== '${') return 1;
  templates[templates.length - 1] = 0;
  return 2;
}

function codeStep(char: string, templates: number[]): number {
  const open = templates.at(-1);
  if (char === '`') templates.push(-1);
  else if (open !== undefined && char === '{') templates[templates.length - 1] = open + 1;
  else if (open !== undefined && char === '}') templates[templates.length - 1] = open - 1;
  return 1;
}

/** A function: the 1-based line of its parameter list, and how many lines it has from there to its closing brace. */
export interface FunctionSize {
  readonly line: number;
  readonly lines: number;
}

const NOT_FUNCTIONS = /\b((if|for|while|switch|catch|with)\s*(await\s*)?|extends\s+[\w.]+)$/;

/**
 * Every function with a body in braces: a `{` that follows `=>`, or a parameter list with or without a return type. A
 * heuristic: it knows braces and parentheses, not the grammar.
 */
export function functionsOf(code: string): FunctionSize[] {
  const found: FunctionSize[] = [];
  const parens: number[] = [];
  /** Of each open brace: where its function begins, or undefined; and the parameter list that was closed last before it. */
  const braces: { readonly start: number | undefined; readonly list: List | undefined }[] = [];
  let list: List | undefined;
  for (let at = 0; at < code.length; at += 1) {
    const char = code[at];
    if (char === '(') parens.push(at);
    else if (char === ')') list = { open: parens.pop() ?? at, close: at };
    else if (char === '{') braces.push({ start: functionStart(code, at, list), list });
    else if (char === '}') {
      const brace = braces.pop();
      // After a type's braces a return type may go on; after a body something new begins.
      list = brace?.start === undefined ? brace?.list : undefined;
      if (brace?.start !== undefined) found.push({ line: lineOf(code, brace.start), lines: lineOf(code, at) - lineOf(code, brace.start) + 1 });
    }
  }
  return found;
}

interface List {
  readonly open: number;
  readonly close: number;
}

/** Where the function begins whose body opens at `brace`; undefined if this brace opens something else. */
function functionStart(code: string, brace: number, list: List | undefined): number | undefined {
  const before = code.slice(0, brace).trimEnd();
  const arrow = before.endsWith('=>');
  if (list === undefined) return arrow ? brace : undefined;
  const between = before.slice(list.close + 1).trim();
  const afterList = between === '' || /^:.*[\w>\]}'")]$/s.test(between) || (arrow && /^(:.*)?=>$/s.test(between));
  if (!afterList) return arrow ? brace : undefined;
  if (NOT_FUNCTIONS.test(code.slice(0, list.open))) return undefined;
  // Only inside the braces of a type may a statement seem to end.
  return between.replace(/\{[^{}]*\}/g, '').includes(';') ? undefined : list.open;
}

function lineOf(text: string, at: number): number {
  let line = 1;
  for (let i = text.indexOf('\n'); i >= 0 && i < at; i = text.indexOf('\n', i + 1)) line += 1;
  return line;
}

const IMPORTS = [
  /^[ \t]*(?:import|export)\b[^;'"`]*?\bfrom\s*(['"])([^'"]+)\1/gm,
  /^[ \t]*import\s*(['"])([^'"]+)\1/gm,
  /\bimport\s*\(\s*(['"])([^'"]+)\1\s*\)/g,
];

/** What a source imports or re-exports, types included. */
export function importsOf({ withStrings }: Blanked): string[] {
  return IMPORTS.flatMap((pattern) => [...withStrings.matchAll(pattern)].map((match) => match[2] as string));
}

/** Files that a source names beside itself to run or to fork: `'./keeper.ts'`, `'program.ts'`. */
export function namedFilesOf({ withStrings }: Blanked): string[] {
  return [...withStrings.matchAll(/(['"`])([\w./-]+\.(?:ts|mjs))\1/g)].map((match) => match[2] as string);
}
