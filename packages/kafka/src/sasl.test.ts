import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { saslOptions, tokenFromEndpoint, tokenFromFile } from './sasl.ts';

interface Asked {
  readonly authorization: string | undefined;
  readonly body: string;
}

/** A token endpoint that gives these answers, one after the other, the last one again and again. */
async function endpoint(answers: readonly { readonly status: number; readonly body: string }[]): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await bodyOf(request);
    const { status, body: text } = answers[Math.min(asked.length, answers.length - 1)] ?? { status: 500, body: '' };
    asked.push({ authorization: request.headers.authorization, body });
    response.writeHead(status, { 'content-type': 'application/json' }).end(text);
  };
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, asked };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
}

const token = (name: string, expiresIn: number | undefined = 3_600): { status: number; body: string } => ({
  status: 200, body: JSON.stringify({ access_token: name, token_type: 'Bearer', expires_in: expiresIn }),
});

describe('tokens by client credentials', () => {
  it('are asked for as RFC 6749 says, once for all that wait, and kept', async () => {
    const { url, asked } = await endpoint([token('one'), token('two')]);
    const provider = tokenFromEndpoint({ endpoint: url, clientId: 'a:b', clientSecret: 'c d', scope: 'kafka' });
    expect(await Promise.all([provider(), provider()])).toEqual(['one', 'one']);
    expect(await provider()).toBe('one');
    expect(asked).toEqual([{ authorization: `Basic ${Buffer.from('a%3Ab:c+d').toString('base64')}`, body: 'grant_type=client_credentials&scope=kafka' }]);
  });

  it('are asked for again when four fifths of their life are over', async () => {
    const { url } = await endpoint([token('one', 0.1), token('two')]);
    const provider = tokenFromEndpoint({ endpoint: url, clientId: 'a', clientSecret: 'b' });
    expect(await provider()).toBe('one');
    await expect.poll(provider, { timeout: 10_000 }).toBe('two');
  });

  it.each([
    ['the client is refused', { status: 401, body: '{}' }, 'config', 'refuses the client a with status 401'],
    ['there is no such endpoint', { status: 404, body: '' }, 'unavailable', 'answers with status 404'],
    ['something else answers', { status: 200, body: '<html>' }, 'config', 'answers without an access_token'],
    ['the token is none', { status: 200, body: '{"access_token":7}' }, 'config', 'answers without an access_token'],
  ] as const)('say when %s', async (_, answer, code, message) => {
    const { url } = await endpoint([answer]);
    const provider = tokenFromEndpoint({ endpoint: url, clientId: 'a', clientSecret: 'topsecret' });
    await expect(provider()).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string });
    await expect(provider()).rejects.not.toMatchObject({ message: expect.stringContaining('topsecret') as string });
  });

  it('say when nobody answers, and come when somebody does', async () => {
    const provider = tokenFromEndpoint({ endpoint: 'http://127.0.0.1:1/token', clientId: 'a', clientSecret: 'b' });
    await expect(provider()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('http://127.0.0.1:1/token does not answer') as string });
    const { url } = await endpoint([{ status: 503, body: '' }, token('late')]);
    const patient = tokenFromEndpoint({ endpoint: url, clientId: 'a', clientSecret: 'b' });
    await expect(patient()).rejects.toMatchObject({ code: 'unavailable' });
    expect(await patient()).toBe('late');
  });
});

describe('a token from a file', () => {
  it('is read anew each time, without the white space around it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'plait-token-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, 'token');
    const provider = tokenFromFile(path);
    await expect(provider()).rejects.toMatchObject({ code: 'config', message: expect.stringContaining(path) as string });
    for (const text of ['one\n', ' two ']) {
      await writeFile(path, text);
      expect(await provider()).toBe(text.trim());
    }
    await writeFile(path, '\n');
    await expect(provider()).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('is empty') as string });
  });
});

/** As SASL's bytes are sent: with their length before them. */
const sized = (text: string): Buffer => Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)]);

/** What kafkajs is told to send, and whether the broker's answer passes. */
async function authenticate(answer: string, extensions: Record<string, string> = {}): Promise<string> {
  const options = saslOptions({ mechanism: 'oauthbearer', token: () => Promise.resolve('t'), extensions });
  if (!('authenticationProvider' in options)) throw new Error('kafkajs would use its own');
  let sent = Buffer.alloc(0);
  const authenticator = options.authenticationProvider({
    host: 'h', port: 1, logger: undefined as never,
    saslAuthenticate: async ({ request, response }) => {
      sent = Buffer.from(await request.encode());
      return response?.parse(await response.decode(sized(answer)));
    },
  });
  await authenticator.authenticate();
  expect(sent.readInt32BE()).toBe(sent.length - 4);
  return sent.subarray(4).toString();
}

describe('OAUTHBEARER', () => {
  it('sends the message of RFC 7628', async () => {
    expect(await authenticate('')).toBe('n,,\u0001auth=Bearer t\u0001\u0001');
    expect(await authenticate('', { logicalCluster: 'x' })).toBe('n,,\u0001auth=Bearer t\u0001logicalCluster=x\u0001\u0001');
  });

  it('fails when the broker answers with a reason', async () => {
    await expect(authenticate('{"status":"invalid_token"}')).rejects.toThrow('the token is not accepted: {"status":"invalid_token"}');
  });
});
