/** Histories of what stands around a message: size, bytes, signature lines, origin and ledger. */
import { formatBlock, formatClaim, formatConfiguration, generation, offset, makeSnapshots, encodeState, stateAt, utf8Encode, concatBytes, logPosition } from '@plait/core';
import { alice, forged, keyOf, ledgerKey, lineOf, Log, noteOf, ORIGIN, signed, worker1, checkpointKey, OTHER } from './builder.ts';

function tooLarge(): Log {
  const log = new Log('A message above 1,000,000 bytes', 'A checkpoint with a long line of an unknown cosigner: a byte more, and nobody looks at it.');
  log.genesis();
  const text = log.checkpointText();
  const [before, after] = [`${text}\n${lineOf(text, checkpointKey)}\n\u2014 `, ' AAAAAAAA\n'];
  const left = 1_000_000 - utf8Encode(before + after).length;
  log.put([before, { repeat: 'x', from: 0, below: left + 1 }, after], 'too-large');
  log.put([before, { repeat: 'x', from: 0, below: left }, after], 'consistent');
  return log;
}

function signatures(): Log {
  const log = new Log('Every signed message but a checkpoint has one signature', 'Two that both verify are malformed, and so are none and seventeen; anybody could add lines to what another signed.');
  log.genesis();
  const text = log.claimText();
  const line = lineOf(text, alice);
  log.put(noteOf(text, [line, line]), 'malformed');
  log.put(noteOf(text, [line, lineOf(text, keyOf('mallory'))]), 'malformed');
  log.put(noteOf(text, []), 'malformed');
  const checkpoint = log.checkpointText();
  const cosigners = Array.from({ length: 16 }, (_, i) => lineOf(checkpoint, keyOf(`witness-${i}`)));
  log.put(noteOf(checkpoint, [...cosigners.slice(1), lineOf(checkpoint, checkpointKey)]), 'consistent');
  log.put(noteOf(checkpoint, [...cosigners, lineOf(checkpoint, checkpointKey)]), 'malformed');
  for (const name of ['a+b', 'a\u00a0b', 'a\u2028b', '']) {
    log.put(noteOf(checkpoint, [lineOf(checkpoint, checkpointKey), `\u2014 ${name} AAAAAAAA`]), 'malformed');
  }
  log.put(noteOf(checkpoint, [lineOf(checkpoint, checkpointKey), '\u2014 \u00e9\u{1f600} AAAAAAA=']), 'consistent');
  log.put(noteOf(checkpoint, [lineOf(checkpoint, checkpointKey), '\u2014 cosigner AAAAAA==']), 'malformed');
  log.put(noteOf(text, [line]), 'claim');
  return log;
}

function bytes(): Log {
  const log = new Log('Bytes that are no note', 'Cut, continued, with other line ends, other spellings of the signature, not UTF-8: each has exactly one reading, none.');
  log.put(new Uint8Array(0), 'malformed');
  log.genesis();
  const note = signed(log.claimText(), alice);
  const bad: string[] = [
    'hello', '\n', '\n\n', '\n\n\n', `${note}\n`, `${note}x`, `${note} `, `\n${note}`, ` ${note}`, note.slice(0, -1),
    note.slice(0, note.length / 2), note.replaceAll('\n', '\r\n'), note.replace('\n\n', '\n\n\n'), note.replace('\n\n', '\n'),
    note.replace('epoch', '\tepoch'), note.replace('— ', '- '), note.replace('— ', '—  '), note.replace(/=\n$/, '\n'),
    note.replace(/.\n$/, '!\n'), note.replace(/\n$/, ' \n'), note.replace(/ ([^ ]*)\n$/, ' AAAA\n'), `\uFEFF${note}`,
    note.replace('alice ', 'alice+'), note.replace('— alice ', '— al ice '), note.replace('epoch', '\u0000epoch'),
    note + note, `${note.slice(0, -1)}x`,
  ];
  for (const text of bad) log.put(text, text.includes('\r') ? 'unknown-kind' : 'malformed');
  log.put(concatBytes(utf8Encode(note.slice(0, -1)), Uint8Array.of(0xff, 0x0a)), 'malformed');
  log.put(Uint8Array.of(0xc0, 0x80), 'malformed');
  log.put(note, 'claim');
  return log;
}

function unknownKind(): Log {
  const log = new Log('Kinds that this version does not know', 'Counted apart from damage: a newer version, or a kind to come.');
  log.genesis();
  for (const first of ['plait.claim/v2', 'plait.claim', 'plait.tombstone/v1', 'plait.', 'plait.Claim/v1', 'plait.claim/v1 ']) {
    log.sign(log.claimText().replace('plait.claim/v1', first), 'unknown-kind', alice);
  }
  log.claim();
  return log;
}

function otherOrigin(): Log {
  const log = new Log('Messages of another origin', 'Of every kind, and right in all else, the signature included.');
  const origin = 'ledger.example/other';
  log.genesis({ origin }, 'other-origin');
  log.genesis();
  log.genesis({ origin }, 'other-origin');
  log.configure({ origin }, 'other-origin');
  log.claim(alice, 'other-origin', { origin });
  log.claim();
  log.sign(log.reportText(log.segment()).replace(ORIGIN, origin), 'other-origin', worker1);
  log.extend();
  log.block('other-origin', { change: { origin } });
  log.checkpoint('other-origin', { origin });
  log.checkpoint('other-origin', { origin: `${ORIGIN}2` });
  log.put(`plait.snapshot/v1\n${origin}\n${log.state.ledgerId}\nheight 0\nchunk 0 1\npath\ndata AA==\n`, 'other-origin');
  log.block();
  return log;
}

function otherLedger(): Log {
  const log = new Log('Messages of another ledger of the same origin', 'The ledger id is the hash of genesis: nothing of one ledger can be replayed in another.');
  log.genesis();
  const ledgerId = OTHER;
  log.sign(formatConfiguration({ ...log.state.configuration.body, kind: 'configuration', origin: ORIGIN, ledgerId, version: 1n, previous: log.state.ledgerId }), 'other-ledger', ledgerKey);
  log.sign(log.configurationText({ ledgerId }).replace('rules 1\n', 'rules 2\n'), 'other-ledger', ledgerKey);
  const { epoch, follows } = log.state;
  log.sign(formatClaim({ kind: 'claim', origin: ORIGIN, ledgerId, epoch: (epoch + 1n) as typeof epoch, follows, nonce: 'a'.repeat(32) }), 'other-ledger', alice);
  log.claim();
  log.sign(log.reportText(log.segment()).replace(log.state.ledgerId, ledgerId), 'other-ledger', worker1);
  log.extend();
  log.sign(formatBlock({ ...log.header(), ledgerId }), 'other-ledger', alice);
  log.put(`plait.snapshot/v1\n${ORIGIN}\n${ledgerId}\nheight 0\nchunk 0 1\npath\ndata AA==\n`, 'other-ledger');
  log.block();
  return log;
}

function order(): Log {
  const log = new Log('The first check that fails is the reason', 'Messages that break several rules at once: kind, origin and ledger, numbers, signature, content, in this order.');
  log.genesis().claim();
  const stranger = keyOf('mallory');
  log.claim(stranger, 'epoch', { epoch: log.state.epoch, follows: OTHER });
  log.claim(stranger, 'follows', { follows: OTHER });
  log.configure({ version: 7n, previous: OTHER, partitionsMax: 1 }, 'version', stranger);
  log.configure({ previous: OTHER }, 'previous', stranger);
  const restart = { topic: 'orders', partition: 0, generation: generation(5n), offset: offset(0n) };
  log.configure({ starts: [restart] }, 'unknown-key', stranger);
  log.configure({ starts: [restart] }, 'generation');
  log.extend({ partition: 9, topic: 'returns', loss: true }, 'unknown-source');
  log.extend({ partition: 9, loss: true, records: 0 }, 'full');
  log.extend({ loss: true, records: 0 }, 'range');
  log.put(forged(log.reportText(log.segment({ topic: 'returns' })), worker1), 'bad-signature');
  const all = { claim: OTHER, configuration: OTHER, history: OTHER, root: OTHER, records: 9n, timeMs: 0n };
  log.block('other-claim', { change: all, by: stranger });
  const { claim: _claim, ...but } = all;
  log.block('other-configuration', { change: but, by: stranger });
  log.block('history', { change: { history: OTHER, root: OTHER, records: 9n }, by: stranger });
  log.block('unknown-key', { change: { records: 9n, state: { bytes: 1, root: OTHER } }, by: stranger });
  log.block('content', { change: { records: 9n, state: { bytes: 1, root: OTHER } } });
  log.block('state', { change: { state: { bytes: 1, root: OTHER } } });
  const header = log.header({ withState: true });
  for (const snapshot of makeSnapshots(header, encodeState(stateAt(log.state, logPosition(log.state.position))))) log.snapshot(snapshot);
  return log;
}

export const notes = {
  'note-too-large': tooLarge,
  'note-signatures': signatures,
  'note-bytes': bytes,
  'note-unknown-kind': unknownKind,
  'note-other-origin': otherOrigin,
  'note-other-ledger': otherLedger,
  'note-order-of-checks': order,
};
