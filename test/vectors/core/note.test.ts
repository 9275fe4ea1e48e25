import { describe, expect, test } from 'vitest';
import { codeOf, coreOf, flipBit, implementations, seeded } from './implementations.ts';

// c2sp.org/signed-note and golang.org/x/mod/sumdb/note.
const FOO_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const FOO_NOTE =
  'This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';
const NEUMANN_KEY = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
const NEUMANN_VERIFIER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const NEUMANN_TEXT =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const NEUMANN_LINE =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=';

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

function spelled(name: string, id: string, bytes: Uint8Array): string {
  return `${name}+${id}+${Buffer.from(bytes).toString('base64')}`;
}

describe.each(implementations)('notes (%s)', (implementation) => {
  const { formatNote, parseNote, signNote, signText, verifyNoteSignature } = coreOf[implementation];
  const { isKeyName, makeSignerKey, parseSignerKey, parseVerifierKey } = coreOf[implementation];

  test('the example verifies with its key, and only so', () => {
    const key = parseVerifierKey(FOO_KEY);
    expect([key.name, key.keyId, key.publicKey.length, key.vkey]).toEqual(['example.com/foo', 0x530d903a, 32, FOO_KEY]);
    const note = parseNote(bytesOf(FOO_NOTE));
    expect(note.text).toBe('This is an example message.\n');
    expect(note.signatures.map(({ name, keyId, signature }) => [name, keyId, signature.length])).toEqual([
      ['example.com/foo', 0x530d903a, 64],
    ]);
    expect(verifyNoteSignature(note, key)).toBe(true);
    expect(verifyNoteSignature({ ...note, text: 'This is an example message!\n' }, key)).toBe(false);
    expect(verifyNoteSignature(note, { ...key, name: 'example.com/bar' })).toBe(false);
    expect(verifyNoteSignature(note, { ...key, keyId: key.keyId + 1 })).toBe(false);
    expect(verifyNoteSignature(note, parseVerifierKey(NEUMANN_VERIFIER))).toBe(false);
  });

  test('signing gives the bytes that Go gives', () => {
    const signer = parseSignerKey(NEUMANN_KEY);
    expect(signer.skey).toBe(NEUMANN_KEY);
    expect(signer.verifier.vkey).toBe(NEUMANN_VERIFIER);
    expect(textOf(signNote(NEUMANN_TEXT, signer))).toBe(`${NEUMANN_TEXT}\n${NEUMANN_LINE}\n`);
    const note = parseNote(signNote(NEUMANN_TEXT, signer));
    expect(note.signatures).toEqual([signText(NEUMANN_TEXT, signer)]);
    expect(verifyNoteSignature(note, parseVerifierKey(NEUMANN_VERIFIER))).toBe(true);
  });

  test('no flipped bit of a note verifies, and every result is a note or invalid', () => {
    const key = parseVerifierKey(FOO_KEY);
    const good = bytesOf(FOO_NOTE);
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = flipBit(good, bit);
      let verified = false;
      const code = codeOf(() => {
        const note = parseNote(bad);
        expect(formatNote(note.text, note.signatures)).toEqual(bad);
        verified = verifyNoteSignature(note, key);
      });
      expect([bit, code === undefined || code === 'invalid', verified]).toEqual([bit, true, false]);
    }
  });

  test('a note cut anywhere is invalid', () => {
    const good = bytesOf(FOO_NOTE);
    for (let length = 0; length < good.length; length++) {
      expect([length, codeOf(() => parseNote(good.subarray(0, length)))]).toEqual([length, 'invalid']);
    }
  });

  const line = '— a AAAAAAA=\n';
  test('what parses is written back byte by byte', () => {
    const texts = ['\n', 'x\n', '\n\n\n', 'a\n\nb\n', '\ufeffx\n', 'DEL \u007f is allowed\n', `${line}\n`, 'é\u{1f600}\n'];
    for (const text of texts) {
      const bytes = bytesOf(`${text}\n${line}${line}`);
      const note = parseNote(bytes);
      expect(note.text).toBe(text);
      expect(note.signatures.length).toBe(2);
      expect(formatNote(note.text, note.signatures)).toEqual(bytes);
    }
  });

  test.each([
    ['no signature', 'x\n\n'],
    ['no empty line', `x\n${line}`],
    ['no text', `\n${line}`],
    ['no newline at the end', `x\n\n${line.slice(0, -1)}`],
    ['bytes after the signatures', `x\n\n${line}y\n`],
    ['an empty line at the end', `x\n\n${line}\n`],
    ['a carriage return', `x\r\n\n${line}`],
    ['a tab', `x\ty\n\n${line}`],
    ['a NUL in a name', 'x\n\n— a\u0000 AAAAAAA=\n'],
    ['a hyphen for the dash', 'x\n\n- a AAAAAAA=\n'],
    ['no space after the dash', 'x\n\n—a AAAAAAA=\n'],
    ['no name', 'x\n\n—  AAAAAAA=\n'],
    ['a plus in the name', 'x\n\n— a+b AAAAAAA=\n'],
    ['a no-break space in the name', 'x\n\n— a\u00a0b AAAAAAA=\n'],
    ['a next-line character in the name', 'x\n\n— a\u0085b AAAAAAA=\n'],
    ['an ideographic space in the name', 'x\n\n— a\u3000b AAAAAAA=\n'],
    ['no signature after the name', 'x\n\n— a\n'],
    ['an empty signature', 'x\n\n— a \n'],
    ['four bytes', 'x\n\n— a AAAAAA==\n'],
    ['stray bits', 'x\n\n— a AAAAAAB=\n'],
    ['no padding', 'x\n\n— a AAAAAAA\n'],
    ['two spaces', 'x\n\n— a  AAAAAAA=\n'],
    ['a space at the end', 'x\n\n— a AAAAAAA= \n'],
    ['17 signatures', `x\n\n${line.repeat(17)}`],
  ])('%s is invalid', (_what, text) => {
    expect(codeOf(() => parseNote(bytesOf(text)))).toBe('invalid');
  });

  test('16 signatures are read, and bytes that are not UTF-8 are invalid', () => {
    expect(parseNote(bytesOf(`x\n\n${line.repeat(16)}`)).signatures.length).toBe(16);
    expect(codeOf(() => parseNote(Uint8Array.of(0xff, ...bytesOf(FOO_NOTE))))).toBe('invalid');
    expect(codeOf(() => parseNote(Uint8Array.of(0xed, 0xa0, 0x80, ...bytesOf(FOO_NOTE))))).toBe('invalid');
  });

  test('random bytes are invalid and nothing else', () => {
    const random = seeded(8);
    const alphabet = ['x', '\n', '\n\n', '— ', 'a', ' ', '+', 'AAAAAAA=', '=', '\u0085', '\u0001'];
    let parsed = 0;
    for (let i = 0; i < 3000; i++) {
      const parts = Array.from({ length: i % 2 === 0 ? random(12) : 1 + random(3) }, () => alphabet[random(alphabet.length)] as string);
      const bytes = bytesOf(i % 2 === 0 ? parts.join('') : `x\n\n— a ${parts.join('')}\n`);
      const code = codeOf(() => {
        const note = parseNote(bytes);
        expect(formatNote(note.text, note.signatures)).toEqual(bytes);
        parsed += 1;
      });
      expect([i, code === undefined || code === 'invalid']).toEqual([i, true]);
    }
    expect(parsed).toBeGreaterThan(25);
  });

  test('a good line counts beside lines of the same key that fail, and the given verifier is asked', () => {
    const signer = makeSignerKey('example.com/log', new Uint8Array(32).fill(5));
    const other = makeSignerKey('example.com/other', new Uint8Array(32).fill(6));
    const good = signText('x\n', signer);
    const bad = signText('y\n', signer);
    const note = parseNote(formatNote('x\n', [signText('x\n', other), bad, good]));
    expect(verifyNoteSignature(note, signer.verifier)).toBe(true);
    expect(verifyNoteSignature(note, other.verifier)).toBe(true);
    expect(verifyNoteSignature(parseNote(formatNote('x\n', [bad])), signer.verifier)).toBe(false);
    const asked: Uint8Array[] = [];
    const refuse = ({ signature }: { readonly signature: Uint8Array }): boolean => {
      asked.push(signature);
      return false;
    };
    expect(verifyNoteSignature(note, signer.verifier, refuse)).toBe(false);
    expect(asked).toEqual([bad.signature, good.signature]);
  });

  test('keys in any other spelling are invalid', () => {
    const publicPart = FOO_KEY.slice(FOO_KEY.lastIndexOf('+') + 1);
    const key = Buffer.from(publicPart, 'base64');
    expect(spelled('example.com/foo', '530d903a', key)).toBe(FOO_KEY);
    const bad = [
      '',
      'example.com/foo',
      'example.com/foo+530d903a',
      spelled('example.com/fop', '530d903a', key),
      spelled('example.com/foo', '530d903b', key),
      spelled('example.com/foo', '530D903A', key),
      spelled('example.com/foo', '0530d903a', key),
      spelled('', '530d903a', key),
      spelled('example.com/foo ', '530d903a', key),
      spelled('example.com/foo', '530d903a', key.subarray(0, 32)),
      spelled('example.com/foo', '530d903a', Buffer.concat([key, Buffer.of(0)])),
      spelled('example.com/foo', '530d903a', Buffer.concat([Buffer.of(4), key.subarray(1)])),
      `${FOO_KEY}=`,
      `${FOO_KEY} `,
      `${FOO_KEY}\n`,
      FOO_KEY.slice(0, -1),
    ];
    for (const vkey of bad) expect([vkey, codeOf(() => parseVerifierKey(vkey))]).toEqual([vkey, 'invalid']);
    const badSecret = [FOO_KEY, NEUMANN_KEY.slice(8), NEUMANN_KEY.replace('c74f', 'c74e'), NEUMANN_KEY.replace('Peter', 'Pater'), `${NEUMANN_KEY}A`];
    for (const skey of badSecret) expect([skey, codeOf(() => parseSignerKey(skey))]).toEqual([skey, 'invalid']);
  });

  test('a key of small order is refused though its id fits', () => {
    // The identity, with the id that SHA-256 gives for it, found with the message of the error.
    const bytes = Buffer.concat([Buffer.of(1, 1), Buffer.alloc(31)]).toString('base64');
    let id = '';
    try {
      parseVerifierKey(`weak+00000000+${bytes}`);
    } catch (error) {
      id = (error as { details: { expected: string } }).details.expected;
    }
    expect(id).toMatch(/^[0-9a-f]{8}$/);
    expect(() => parseVerifierKey(`weak+${id}+${bytes}`)).toThrow('not a valid Ed25519 public key');
  });

  test('errors never repeat a secret', () => {
    const secret = NEUMANN_KEY.slice(-44);
    for (const bad of [NEUMANN_KEY.replace('c74f', 'c74e'), `${NEUMANN_KEY}A`, NEUMANN_KEY.replace('+AY', '+BY')]) {
      let said = '';
      try {
        parseSignerKey(bad);
      } catch (error) {
        said = JSON.stringify(error) + String(error) + String((error as Error).stack);
      }
      expect(said).toMatch(/signer key|base64/);
      expect(said).not.toContain(secret.slice(4, 40));
    }
  });

  test('what we write ourselves and could not read is a bug', () => {
    const signer = makeSignerKey('example.com/log', new Uint8Array(32).fill(5));
    for (const text of ['', 'x', 'a\tb\n', 'x\r\n']) expect(() => signNote(text, signer)).toThrow(/invariant/);
    expect(() => formatNote('x\n', [])).toThrow(/invariant/);
    expect(() => formatNote('x\n', Array.from({ length: 17 }, () => signText('x\n', signer)))).toThrow(/invariant/);
    expect(codeOf(() => makeSignerKey('a b', new Uint8Array(32)))).toBe('invalid');
    expect(() => makeSignerKey('a', new Uint8Array(31))).toThrow(/invariant/);
    expect(['', 'a+b', 'a b', 'a\u2028b', 'a\u0000', '\ud800'].map(isKeyName)).toEqual([false, false, false, false, false, false]);
    expect(['a', 'example.com/log', 'é'].map(isKeyName)).toEqual([true, true, true]);
  });
});
