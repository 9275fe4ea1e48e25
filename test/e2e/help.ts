/** What the program's help says: its commands, and the examples of each. */
import { plait } from './plait.ts';

/** A command by the words that call it. */
export interface Help {
  readonly words: readonly string[];
  readonly text: string;
  /** The lines under `Examples:`, as they stand, without indent. */
  readonly examples: readonly string[];
}

/** The help of every command that people see, those within others too, in the order of the help. */
export async function everyHelp(words: readonly string[] = []): Promise<readonly Help[]> {
  const { code, stdout, stderr } = await plait(...words, '--help');
  if (code !== 0) throw new Error(`${words.join(' ')} --help: ${stderr}`);
  const inner = namesIn(stdout);
  const own = words.length === 0 ? [] : [{ words, text: stdout, examples: examplesIn(stdout) }];
  const more = await Promise.all(inner.map((name) => everyHelp([...words, name])));
  return [...own, ...more.flat()];
}

function namesIn(text: string): string[] {
  const [, list = ''] = /^Commands:\n((?: {2}.*\n)*)/m.exec(text) ?? [];
  return Array.from(list.matchAll(/^ {2}([a-z][a-z-]*)(?= |$)/gm), ([, name = '']) => name).filter((name) => name !== 'help');
}

function examplesIn(text: string): string[] {
  const [, list = ''] = /\nExamples:\n((?: {2}\S.*\n)+)\n*$/.exec(text) ?? [];
  return list.trimEnd().split('\n').map((line) => line.trim()).filter((line) => line !== '');
}
