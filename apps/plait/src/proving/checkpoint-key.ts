/** The key that must be trusted, as people give it. */
import type { VerifierKey } from '@plait/core';
import { readVerifierKey } from '../governing/reconfigure-wishes.ts';

/** The checkpoint key that `--key` names: `<name>+<id>+<base64>`, or a file that holds it, with or without an `@` before. Throws `config`. */
export async function readCheckpointKey(text: string): Promise<VerifierKey> {
  // A key has a plus and a file's name seldom; @ says that it is one.
  return await readVerifierKey('--key', text.includes('+') || text.startsWith('@') ? text : `@${text}`);
}
