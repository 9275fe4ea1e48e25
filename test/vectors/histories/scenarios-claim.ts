/** Histories of claims: who leads, and what a former leader can still do. */
import type { Claim, Epoch, LedgerState } from '@plait/core';
import { sealBlock, formatBlock } from '@plait/core';
import { alice, bob, forged, keys, Log, mallory, signed, worker1, OTHER } from './builder.ts';

/** A block as the leader of `state` would seal it over all of it. */
function sealed(state: LedgerState, by = alice): string {
  const header = sealBlock(state, { cut: state.position, wallMs: 1_700_000_100_000 });
  return signed(formatBlock(header), by);
}

function plusEpoch(log: Log, n: bigint): Partial<Claim> {
  return { epoch: (log.state.epoch + n) as Epoch };
}

function wrongEpoch(): Log {
  const log = new Log('A claim of another epoch than the next', 'It follows the right claim; only the number is not current + 1.');
  log.genesis();
  log.claim(alice, 'epoch', plusEpoch(log, 0n));
  log.claim(alice, 'epoch', plusEpoch(log, 2n));
  log.claim(alice);
  log.claim(bob, 'epoch', plusEpoch(log, 0n));
  log.claim(bob);
  return log;
}

function wrongFollows(): Log {
  const log = new Log('A claim that follows another than the current one', 'Its epoch is right, but it names what it has not read: genesis after a claim, a claim after a configuration.');
  log.genesis();
  log.claim(alice, 'follows', { follows: OTHER });
  const genesis = log.state.follows;
  log.claim(alice);
  log.claim(bob, 'follows', { follows: genesis });
  const first = log.state.follows;
  log.configure();
  log.claim(bob, 'follows', { follows: first });
  log.claim(bob, 'follows', { follows: genesis });
  log.claim(bob);
  return log;
}

function signature(): Log {
  const log = new Log('Only a coordinator key in force signs claims', 'A stranger, a worker, and a signature line of a coordinator under another text.');
  log.genesis();
  log.claim(mallory, 'unknown-key');
  log.claim(worker1, 'unknown-key');
  log.put(forged(log.claimText(), alice), 'bad-signature');
  log.claim(bob);
  return log;
}

function answerLost(): Log {
  const log = new Log('A claim whose answer was lost', 'The same bytes are in the log twice: the first counts, the second is of a past epoch and changes nothing.');
  log.genesis();
  const claim = log.claim();
  log.put(claim, 'epoch');
  log.extend();
  log.put(claim, 'epoch');
  log.block();
  return log;
}

function race(): Log {
  const log = new Log('Two coordinators claim the same epoch', 'First in the log wins. The loser\'s blocks are ignored, and so is its next try at the same epoch.');
  log.genesis();
  const ofBob = signed(log.claimText({ nonce: 'b'.repeat(32) }), bob);
  log.claim(alice);
  log.put(ofBob, 'epoch');
  log.extend();
  log.block('unknown-key', { by: bob });
  log.block();
  return log;
}

function oneKey(): Log {
  const log = new Log('Two processes with one coordinator key', 'Both claim the same epoch with the same key; the first wins. The other one\'s block is ignored although its key is the leader\'s: whose claim it is decides.');
  log.genesis();
  const before = log.state;
  const first = signed(log.claimText({ nonce: '1'.repeat(32) }), alice);
  const second = signed(log.claimText({ nonce: '2'.repeat(32) }), alice);
  const other = new Log('', '');
  other.genesis();
  other.put(second, 'claim');
  log.put(first, 'claim');
  log.put(second, 'epoch');
  const segment = log.extend();
  other.skip(1).put(segment, 'accepted');
  log.put(sealed(other.state), 'other-claim');
  log.block();
  if (before.ledgerId !== other.state.ledgerId) throw new Error('not the same ledger');
  return log;
}

function lateDuplicate(): Log {
  const log = new Log('A late duplicate of an old block after a newer claim', 'It was accepted once, and comes again in every later situation: it never counts twice.');
  log.genesis().claim();
  log.extend();
  const block = log.block();
  log.put(block, 'height');
  log.claim(bob);
  log.put(block, 'other-claim');
  log.extend();
  log.put(block, 'other-claim');
  log.block('block', { by: bob });
  log.configure();
  log.put(block, 'no-leader');
  return log;
}

function wakes(): Log {
  const log = new Log('A paused leader wakes and sends its block', 'It was sealed before the newer claim, and is right in all but the claim: ignored. What it wanted to number waits for the new leader.');
  log.genesis().claim();
  log.extend();
  const late = sealed(log.state);
  log.claim(bob);
  log.put(late, 'other-claim');
  log.block('block', { by: bob });
  return log;
}

function claimRevoked(): Log {
  const log = new Log('A configuration revokes a coordinator with a claim in flight', 'The claim lands behind the configuration: it follows what is no longer current, and a new one has no key in force.');
  log.genesis();
  const inFlight = signed(log.claimText(), bob);
  log.configure({ coordinatorKeys: keys(alice) });
  log.put(inFlight, 'epoch');
  log.claim(bob, 'unknown-key');
  log.claim(alice);
  return log;
}

function blockRevoked(): Log {
  const log = new Log('A configuration revokes a coordinator with a block in flight', 'The configuration ends the epoch. The block that lands behind it does not count, nor does its leader\'s next claim.');
  log.genesis().claim(bob);
  log.extend();
  const inFlight = sealed(log.state, bob);
  log.configure({ coordinatorKeys: keys(alice) });
  log.put(inFlight, 'no-leader');
  log.claim(bob, 'unknown-key');
  log.claim(alice);
  log.put(inFlight, 'other-claim');
  log.block();
  return log;
}

export const claims = {
  'claim-epoch': wrongEpoch,
  'claim-follows': wrongFollows,
  'claim-signature': signature,
  'claim-answer-lost': answerLost,
  'claim-race': race,
  'claim-two-processes-one-key': oneKey,
  'claim-late-duplicate-of-block': lateDuplicate,
  'claim-paused-leader-wakes': wakes,
  'claim-in-flight-revoked': claimRevoked,
  'claim-block-in-flight-revoked': blockRevoked,
};
