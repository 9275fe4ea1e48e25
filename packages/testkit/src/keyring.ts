/** Keys of a simulated ledger, the same in every run, and a check of signatures that remembers what it checked. */
import {
  ed25519Verify, makeSignerKey, RULES_VERSION, sha256, type Genesis, type SignerKey, type VerifierKey, type VerifySignature,
} from '@plait/core';

export const ORIGIN = 'sim.example/ledger';

const keyOf = (name: string, byte: number): SignerKey => makeSignerKey(name, new Uint8Array(32).fill(byte));

export const LEDGER_KEY = keyOf(`${ORIGIN}/ledger`, 1);
export const CHECKPOINT_KEY = keyOf(ORIGIN, 2);
/** Two coordinator keys; the first is shared by two processes. */
export const COORDINATOR_KEYS = [keyOf(`${ORIGIN}/coordinator-a`, 3), keyOf(`${ORIGIN}/coordinator-b`, 4)] as const;
export const WORKER_KEYS = [keyOf(`${ORIGIN}/worker-a`, 5), keyOf(`${ORIGIN}/worker-b`, 6)] as const;

/** Verifier keys in the order a configuration lists them. */
export function verifiers(keys: readonly SignerKey[]): readonly VerifierKey[] {
  return keys.map((key) => key.verifier).toSorted((a, b) => (a.vkey < b.vkey ? -1 : 1));
}

/** A genesis over `sources` with all the keys above. */
export function simulatedGenesis(sources: readonly string[], pendingMax: number): Genesis {
  return {
    kind: 'genesis', origin: ORIGIN, rules: RULES_VERSION, onLoss: 'stop', partitionsMax: 64, pendingMax,
    checkpointKeys: verifiers([CHECKPOINT_KEY]), coordinatorKeys: verifiers(COORDINATOR_KEYS),
    workerKeys: verifiers(WORKER_KEYS), sources: sources.toSorted(), starts: [], voids: [],
  };
}

/** Strict Ed25519 that checks each (key, message, signature) once a process: many roles read the same message. */
export function cachedVerify(): VerifySignature {
  const known = new Map<string, boolean>();
  return (args) => {
    const name = Buffer.concat([args.publicKey, args.signature, sha256(args.message)]).toString('latin1');
    const remembered = known.get(name);
    if (remembered !== undefined) return remembered;
    const valid = ed25519Verify(args);
    known.set(name, valid);
    return valid;
  };
}
