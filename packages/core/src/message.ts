/**
 * Any message of the log, from its bytes. One parser serves all kinds.
 */
import { hashToText, utf8Decode, utf8Encode } from './bytes.ts';
import { parseBlock, type BlockHeader } from './block.ts';
import { parseCheckpoint, type Checkpoint } from './checkpoint.ts';
import { parseClaim, type Claim } from './claim.ts';
import {
  parseConfiguration, parseConfigurationStub, parseGenesis, parseGenesisStub,
  type Configuration, type ConfigurationStub, type Genesis,
} from './configuration.ts';
import { invalid } from './errors.ts';
import { RULES_VERSION } from './limits.ts';
import { parseNote, type Note } from './note.ts';
import { parseReport, type Report } from './report.ts';
import { sha256 } from '#sha256';
import { parseSnapshot, type Snapshot } from './snapshot.ts';
import type { Hash } from './types.ts';

/** A genesis or configuration whose rules are above those known; its body was not looked at. */
export type UnknownRules =
  | ({ readonly kind: 'unknown-rules'; readonly of: 'configuration'; readonly known: number } & ConfigurationStub)
  | ({ readonly kind: 'unknown-rules'; readonly of: 'genesis'; readonly known: number } & Pick<ConfigurationStub, 'origin' | 'rules'>);

/** What a signed message says. */
export type SignedBody = Genesis | Configuration | Claim | Report | BlockHeader | Checkpoint | UnknownRules;

/** A message as its parser leaves it: well-formed, of a known kind, signature not checked. */
export type Message =
  | { readonly signed: true; readonly body: SignedBody; readonly note: Note }
  | { readonly signed: false; readonly body: Snapshot };

/** The kinds of messages, as outcomes and counters name them. */
export type MessageKind = 'genesis' | 'configuration' | 'claim' | 'report' | 'block' | 'snapshot' | 'checkpoint';

const SNAPSHOT_FIRST_LINE = utf8Encode('plait.snapshot/v1\n');

/** A message's identity: SHA-256 of its text without signatures. */
export function messageHash(text: string): Hash {
  return hashToText(sha256(utf8Encode(text)));
}

/**
 * What kind of message the text claims to be, by its first line; a checkpoint's first line is an origin, so everything
 * that does not begin with `plait.` is taken for one. Undefined for a kind that this code does not know.
 */
export function kindOf(text: string): MessageKind | undefined {
  const first = text.slice(0, Math.max(0, text.indexOf('\n')));
  const match = /^plait\.(genesis|configuration|claim|report|block|snapshot)\/v1$/.exec(first);
  if (match !== null) return match[1] as MessageKind;
  return first.startsWith('plait.') ? undefined : 'checkpoint';
}

/**
 * Throws `invalid` for bytes that are no message of a known kind. Signatures and numbers are not checked. `known` is the
 * newest version of the rules whose bodies are looked at.
 */
export function parseMessage(bytes: Uint8Array, known = RULES_VERSION): Message {
  if (startsWith(bytes, SNAPSHOT_FIRST_LINE)) return { signed: false, body: parseSnapshot(utf8Decode(bytes)) };
  const note = parseNote(bytes);
  const body = parseBody(note.text, known);
  if (body.kind !== 'checkpoint' && note.signatures.length !== 1) throw invalid('expected exactly one signature');
  return { signed: true, body, note };
}

function parseBody(text: string, known: number): SignedBody {
  switch (kindOf(text)) {
    case 'genesis':
      return parseKnown('genesis', known, parseGenesisStub(text), () => parseGenesis(text));
    case 'configuration':
      return parseKnown('configuration', known, parseConfigurationStub(text), () => parseConfiguration(text));
    case 'claim':
      return parseClaim(text);
    case 'report':
      return parseReport(text);
    case 'block':
      return parseBlock(text);
    case 'checkpoint':
      return parseCheckpoint(text);
    default:
      throw invalid('unknown kind of message');
  }
}

function parseKnown<S extends { rules: number }, T extends string, B>(of: T, known: number, stub: S, parse: () => B) {
  return stub.rules > known ? ({ kind: 'unknown-rules', of, known, ...stub } as const) : parse();
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length && prefix.every((byte, i) => bytes[i] === byte);
}
