/**
 * A transparency log over HTTP, as c2sp.org/tlog-tiles has it: the checkpoint, and the tiles of trees up to its size. Nothing
 * else is there: no tile beyond that size, no empty one, no other spelling of a path.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { hasTile, isPlaitError, parseCheckpoint, parseNote, parseTilePath, PlaitError } from '@plait/core';
import type { TileStore } from '@plait/roles';
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import type { Log } from '../log.ts';

/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
}

/** A server at work. */
export interface TileServer {
  /** Without a slash at its end. */
  readonly url: string;
  /** Ends it, and the connections that are open. */
  close(): Promise<void>;
}

const TEXT = 'text/plain; charset=utf-8';
const BYTES = 'application/octet-stream';
/** The checkpoint changes every second. */
const FRESH = 'no-cache';
/** Whether a client takes gzip: headers of blocks are text, hashes cannot be made smaller. */
const GZIP = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/;
/** What a tile of a published size holds never changes. */
const LASTING = 'public, max-age=31536000';

/** Serves what `store` holds from now on. Throws `config` if nobody can listen at that address. */
export async function openTileServer({ store, address, log }: { readonly store: TileStore; readonly address: ListenAddress; readonly log: Log }): Promise<TileServer> {
  // Every command would pay for it, were it loaded with the program.
  const { fastify } = await import('fastify');
  // Of an address that cannot be decoded, too, nothing is there.
  const server = fastify({ logger: false, forceCloseConnections: true, frameworkErrors: (_error, _, reply) => void notThere(reply) });
  addRoutes(server, store);
  // Nobody has anything to send: no body is read.
  server.removeAllContentTypeParsers();
  server.setNotFoundHandler((_, reply) => notThere(reply));
  server.setErrorHandler((error: FastifyError, _, reply) => {
    if ((error.statusCode ?? 500) < 500) return notThere(reply);
    log.warn({ event: 'waiting' }, error.message);
    return reply.code(503).type(TEXT).header('cache-control', FRESH).send('not available\n');
  });
  try {
    return { url: await server.listen(address), close: () => server.close() };
  } catch (error) {
    const { host, port } = address;
    throw new PlaitError('config', `--listen: cannot serve at ${host}:${port}: ${(error as Error).message}`, { cause: error });
  }
}

/** HEAD goes with GET. */
function addRoutes(server: FastifyInstance, store: TileStore): void {
  server.get('/checkpoint', async (_, reply) => {
    const published = await store.published();
    return published === undefined ? notThere(reply) : reply.type(TEXT).header('cache-control', FRESH).send(published.note);
  });
  server.get('/log.vkey', async (_, reply) => {
    const published = await store.published();
    return published === undefined ? notThere(reply) : reply.type(TEXT).header('cache-control', FRESH).send(`${published.vkey}\n`);
  });
  // Of the address as it was sent: nothing is decoded, so that there is one spelling.
  server.get('/tile/*', async ({ url, headers }, reply) => {
    const bytes = await tileAt(store, url.slice(1));
    if (bytes === undefined) return notThere(reply);
    reply.type(BYTES).header('cache-control', LASTING);
    if (!url.startsWith('/tile/entries/')) return reply.send(bytes);
    reply.header('vary', 'accept-encoding');
    if (!GZIP.test(headers['accept-encoding'] ?? '')) return reply.send(bytes);
    return reply.header('content-encoding', 'gzip').send(await promisify(gzip)(bytes));
  });
}

/** The bytes of a tile of the published tree, by its path; undefined if that is none. */
async function tileAt(store: TileStore, path: string): Promise<Uint8Array | undefined> {
  const published = await store.published();
  try {
    const tile = parseTilePath(path);
    const size = published === undefined ? 0n : parseCheckpoint(parseNote(published.note).text).size;
    return hasTile(tile, size) ? await store.read(tile) : undefined;
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return undefined;
  }
}

function notThere(reply: FastifyReply): FastifyReply {
  return reply.code(404).type(TEXT).header('cache-control', FRESH).send('not there\n');
}
