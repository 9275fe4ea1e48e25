/** `plait keys`: makes keys, shows their public halves, and signs what the ledger key alone may sign. */
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { makeSignerKey, parseOrigin } from '@plait/core';
import { KEY_ROLES, keyName, keyPath, loadKey, loadLedger, writeKey, type KeyRole } from '../keys.ts';
import { ledgerOption, optionValue } from '../options.ts';
import { printLine } from '../output.ts';
import { SIGNED_SUFFIX, signFile } from './signing.ts';

const EXAMPLES = `
Examples:
  plait keys make worker-3
  plait keys show
`;

const MAKE_EXAMPLES = `
The secret key goes into the file alone, with mode 0600; no file is ever overwritten. What is printed is the public key:
a configuration lists it (plait reconfigure --add-worker-key VKEY), and then the file may be given to a role (--key FILE).

Examples:
  plait keys make worker-2
  plait keys make coordinator --out coordinator-2.key
`;

const SHOW_EXAMPLES = `
Examples:
  plait keys show
  plait keys show plait/keys/worker.key
`;

const SIGN_EXAMPLES = `
Needs no Kafka: it is for the machine that keeps the ledger key. It signs a genesis or a configuration and nothing else.
Read the text before: it says in plain words what it changes.

Examples:
  plait reconfigure --pending-max 300 --write-text next.txt
  plait keys sign next.txt
`;

/** The command. */
export function keysCommand(): Command {
  const keys = new Command('keys').summary('make, show and use keys').description('Makes keys, shows their public halves, and signs with the ledger key.')
    .addHelpText('after', EXAMPLES);
  for (const command of [makeCommand(), showCommand(), signCommand()]) keys.addCommand(command.exitOverride());
  return keys;
}

function makeCommand(): Command {
  return new Command('make')
    .summary('make a key and print its public half')
    .description('Makes a key of the given name; ledger, checkpoint, coordinator or worker stand for the names that init gives such keys.')
    .argument('<name>', 'name of the key, or a role')
    .option('--out <file>', 'file of the secret key (default: <last part of the name>.key)')
    .option('--origin <name>', 'the ledger\'s name, for the name of a role\'s key (default: that of the ledger\'s folder)')
    .addOption(ledgerOption())
    .addHelpText('after', MAKE_EXAMPLES)
    .action(async (wanted: string, options: { out?: string; origin?: string; ledger: string }) => {
      const key = optionValue('keys make', () => makeSignerKey(wanted, randomBytes(32)));
      const named = isRole(wanted) ? makeSignerKey(keyName(await originOf(options), wanted), key.seed) : key;
      await writeKey(options.out ?? `${wanted.slice(wanted.lastIndexOf('/') + 1)}.key`, named);
      printLine(named.verifier.vkey);
    });
}

async function originOf({ origin, ledger }: { readonly origin?: string; readonly ledger: string }): Promise<string> {
  return origin === undefined ? (await loadLedger(ledger)).origin : optionValue('--origin', () => parseOrigin(origin));
}

function isRole(name: string): name is KeyRole {
  return (KEY_ROLES as readonly string[]).includes(name);
}

function showCommand(): Command {
  return new Command('show')
    .summary('print the public half of keys')
    .description('Prints the public key (vkey) of a key file; without one those of all keys in the ledger\'s folder, and the ledger key.')
    .argument('[file]', 'file of a secret key')
    .addOption(ledgerOption())
    .addHelpText('after', SHOW_EXAMPLES)
    .action(async (file: string | undefined, { ledger }: { ledger: string }) => {
      if (file !== undefined) return printLine((await loadKey(file)).verifier.vkey);
      const { ledgerKey } = await loadLedger(ledger);
      printLine(`${ledgerKey}  the ledger key`);
      const folder = join(ledger, 'keys');
      const files = await readdir(folder).catch(() => []);
      for (const name of files.filter((each) => each.endsWith('.key')).toSorted()) {
        printLine(`${(await loadKey(join(folder, name))).verifier.vkey}  ${join(folder, name)}`);
      }
    });
}

function signCommand(): Command {
  return new Command('sign')
    .summary('sign a text with the ledger key')
    .description('Signs what --write-text wrote, and writes the signed note for --signed.')
    .argument('<file>', 'text that init or reconfigure wrote')
    .option('--key <file>', 'ledger key (default: keys/ledger.key in the ledger\'s folder)')
    .option('--out <file>', `where the signed note goes (default: <file>${SIGNED_SUFFIX})`)
    .addOption(ledgerOption())
    .addHelpText('after', SIGN_EXAMPLES)
    .action(async (file: string, options: { key?: string; out?: string; ledger: string }) => {
      const out = options.out ?? `${file}${SIGNED_SUFFIX}`;
      const said = await signFile(file, { key: options.key ?? keyPath(options.ledger, 'ledger'), out });
      printLine(`signed ${said}: ${out}`);
    });
}
