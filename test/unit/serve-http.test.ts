/** What a server of tiles answers to requests that it must not, and to a store that cannot be read; the rest: test/e2e/serve.test.ts. */
import { request } from 'node:http';
import { PlaitError } from '@plait/core';
import { MemoryTiles } from '@plait/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Log } from '../../apps/plait/src/log.ts';
import { openTileServer, type TileServer } from '../../apps/plait/src/running/serve-http.ts';

const store = new MemoryTiles();
const warnings: string[] = [];
let server: TileServer;

beforeAll(async () => {
  const log = { warn: (_: unknown, message: string) => void warnings.push(message) } as unknown as Log;
  server = await openTileServer({ store, address: { host: '127.0.0.1', port: 0 }, log });
});
afterAll(async () => await server.close());

async function answerTo(method: string, path: string, { type, body = '' }: { readonly type?: string; readonly body?: string } = {}): Promise<{ status: number | undefined; text: string }> {
  return await new Promise((resolve, reject) => {
    const sent = request(`${server.url}/`, { method, path, headers: type === undefined ? {} : { 'content-type': type } }, (answer) => {
      let text = '';
      answer.on('data', (part: Buffer) => (text += part.toString())).on('end', () => resolve({ status: answer.statusCode, text }));
    });
    sent.on('error', reject).end(body);
  });
}

test('a bad request is nobody\'s alarm', async () => {
  const requests = [
    ['POST', '/checkpoint', { type: 'application/json', body: '{' }],
    ['POST', '/checkpoint', { type: 'no type', body: 'x' }],
    ['PUT', '/tile/0/000', { type: 'text/plain', body: 'x'.repeat(2_000_000) }],
    ['GET', '/tile/%zz', {}],
    ['GET', '/%', {}],
  ] as const;
  for (const [method, path, content] of requests) {
    expect(await answerTo(method, path, content), `${method} ${path}`).toEqual({ status: 404, text: 'not there\n' });
  }
  expect(warnings).toEqual([]);
});

test('a store that cannot be read is said to those who run it, and not to those who ask', async () => {
  store.published = () => Promise.reject(new PlaitError('config', 'cannot read /secret/place'));
  expect(await answerTo('GET', '/checkpoint')).toEqual({ status: 503, text: 'not available\n' });
  expect(warnings).toEqual(['cannot read /secret/place']);
});
