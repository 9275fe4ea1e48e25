/** `plait consistency`: whether two checkpoints are of one history. */
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { headerLeafHash, isAmong, parseNote, PlaitError, type VerifierKey } from '@plait/core';
import { EXIT } from '../exit.ts';
import { foldLog } from '../governing/log-fold.ts';
import { loadLedger } from '../keys.ts';
import { makeLog } from '../log.ts';
import { bootstrapOption, kafkaOptions, ledgerOption, logLevelOption, type CommonOptions } from '../options.ts';
import { jsonText, print, printable } from '../output.ts';
import { readCheckpointKey } from './checkpoint-key.ts';
import { compareCheckpoints, readCheckpoint, signerOf, type Comparison, type HeldCheckpoint, type TreePlace } from './consistency-check.ts';
import { keepCheckpoints } from './evidence-files.ts';

const EXAMPLES = `
Keep a checkpoint, from a server's /checkpoint or a receipt, and compare later ones with it. With --key and --tiles no Kafka
is needed, and the server need not be trusted: what it gives is compared with what was signed. If the two contradict each
other (exit code 12), both are written out: that is evidence against whoever has the checkpoint key.

Exit codes: 0 consistent, 12 split view, 10 a signature does not hold, or the tiles are not those of the newer one, 11 the log
is not the one that it was signed over, 14 cannot decide (a tile is missing, or the older one is of no blocks), 2 not reachable,
1 usage or configuration.

Examples:
  plait consistency plait/serve/checkpoint plait/serve/checkpoint
  plait consistency plait/serve/checkpoint plait/serve/checkpoint --tiles plait/serve -o json
`;

interface ConsistencyOptions extends CommonOptions {
  readonly key?: string;
  readonly tiles?: string;
  readonly evidence: string;
  readonly output: 'text' | 'json';
}

/** The command. */
export function consistencyCommand(): Command {
  return new Command('consistency')
    .summary('show that one checkpoint extends another')
    .description('Verifies two checkpoints, and proves that the tree of one is a prefix of the other\'s, so that both are of one history.')
    .argument('<old>', 'file of a checkpoint: a signed note')
    .argument('<new>', 'file of another one')
    .option('--key <vkey>', 'the key that signed both, or a file that holds it, such as log.vkey (default: the checkpoint keys of the ledger\'s configurations, from its log)')
    .option('--tiles <place>', 'URL of a server, or a folder, whose tiles the proof is made from (default: from the ledger\'s log)')
    .option('--evidence <folder>', 'where two checkpoints are written that contradict each other', '.')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addOption(bootstrapOption())
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async (old: string, fresh: string, options: ConsistencyOptions) => await compare([old, fresh], options));
}

/** What was found. The older checkpoint comes first. */
interface Result extends Comparison {
  readonly checkpoints: readonly (HeldCheckpoint & { readonly signer: VerifierKey })[];
  /** Undefined if nothing was looked up. */
  readonly place: TreePlace | undefined;
  /** Files that were written. */
  readonly evidence: readonly string[];
}

async function compare(files: readonly [string, string], options: ConsistencyOptions): Promise<void> {
  const [one, other] = [await readCheckpoint(files[0]), await readCheckpoint(files[1])];
  const [older, newer] = one.checkpoint.size <= other.checkpoint.size ? [one, other] : [other, one];
  requireOneLedger(older, newer);
  const { keys, place } = await trustOf(older, options);
  const checkpoints = [older, newer].map((each) => ({ ...each, signer: signerOf(each, keys) }));
  const comparison = await compareCheckpoints(older, newer, place);
  const evidence = comparison.verdict === 'split-view' ? await writeEvidence(checkpoints, options.evidence) : [];
  const result = { ...comparison, checkpoints, evidence, place: comparison.proof.length > 0 ? place : undefined };
  if (result.verdict === 'split-view') process.exitCode = EXIT.splitView;
  await print(options.output === 'json' ? `${jsonText(resultJson(result))}\n` : resultText(result));
}

function requireOneLedger({ file, checkpoint: { origin } }: HeldCheckpoint, other: HeldCheckpoint): void {
  if (other.checkpoint.origin === origin) return;
  throw new PlaitError('config', `${file} is of ${origin}, and ${other.file} of ${other.checkpoint.origin}: two ledgers have no history in common`);
}

/** Whose signature counts, and where the tree is looked up. Reads the log for what no option says. */
async function trustOf({ checkpoint: { origin } }: HeldCheckpoint, options: ConsistencyOptions): Promise<{ readonly keys: readonly VerifierKey[]; readonly place: TreePlace }> {
  const given = options.key === undefined ? undefined : [await readCheckpointKey(options.key)];
  const tiles = options.tiles === undefined ? undefined : ({ kind: 'tiles', name: options.tiles } as const);
  if (given !== undefined && tiles !== undefined) return { keys: given, place: tiles };
  const { keys, place } = await readLog(origin, options);
  return { keys: given ?? keys, place: tiles ?? place };
}

/** Every checkpoint key that ever was in force, and the tree of headers. */
async function readLog(origin: string, options: ConsistencyOptions): Promise<{ readonly keys: readonly VerifierKey[]; readonly place: TreePlace }> {
  const ledger = await loadLedger(options.ledger);
  if (ledger.origin !== origin) {
    throw new PlaitError('config', `the checkpoints are of ${origin}, and ${options.ledger} is the folder of ${ledger.origin}: name theirs with --ledger, or give --key and --tiles`);
  }
  const keys: VerifierKey[] = [];
  const leafHashes: Uint8Array[] = [];
  await using ports = new AsyncDisposableStack();
  await foldLog({ ledger, kafka: kafkaOptions(options, makeLog(options.logLevel)) }, ports, ({ outcome, value, state }) => {
    if (outcome.kind === 'block') leafHashes.push(headerLeafHash(parseNote(value).text));
    if (outcome.kind !== 'genesis' && outcome.kind !== 'configuration') return;
    for (const key of state?.configuration.body.checkpointKeys ?? []) if (!isAmong(keys, key)) keys.push(key);
  });
  return { keys, place: { kind: 'log', name: ledger.log, leafHashes } };
}

/** Both notes: the paths of their files. Throws `config`, `unavailable`. */
async function writeEvidence(checkpoints: readonly HeldCheckpoint[], folder: string): Promise<readonly string[]> {
  const names = await keepCheckpoints(folder, 'split-view', checkpoints.map(({ bytes }) => bytes));
  return names.map((name) => join(folder, name));
}

function resultJson({ verdict, checkpoints, place, proof, evidence }: Result): unknown {
  return {
    schemaVersion: 1, verdict, origin: checkpoints[0]?.checkpoint.origin,
    checkpoints: checkpoints.map(({ file, checkpoint: { size, root }, signer }) => ({ file, size: String(size), root, key: signer.vkey })),
    proof, ...(place === undefined ? {} : { from: { kind: place.kind, name: place.name } }), evidence,
  };
}

function resultText({ verdict, checkpoints, place, proof, evidence }: Result): string {
  const [size1, size2] = checkpoints.map(({ checkpoint }) => checkpoint.size);
  const consistent = size1 === size2 ? `both are of the same ${size1} blocks` : `the first ${size1} of ${size2} blocks are the same`;
  const split = size1 === size2 ? `two trees of ${size1} blocks were signed` : `of the ${size2} blocks that were signed the first ${size1} are not those that were signed before`;
  const lines = [
    verdict === 'consistent' ? `consistent: ${consistent}` : `SPLIT VIEW: ${split}`,
    ...checkpoints.flatMap(({ file, checkpoint: { origin, size, root }, signer }) => [`  ${file}`, `    ${origin}, size ${size}, root ${root}`, `    signed by ${signer.vkey}`]),
    ...(place === undefined ? [] : [`  proof: ${proof.length} hashes, from the ${place.kind} ${place.name}`]),
    ...evidence.map((path) => `  evidence: ${path}`),
  ];
  return printable(`${lines.join('\n')}\n`);
}
