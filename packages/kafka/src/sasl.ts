/** Who we are to Kafka: SASL, and tokens for OAUTHBEARER. */
import { readFile } from 'node:fs/promises';
import type { Mechanism, SASLOptions } from 'kafkajs';
import { PlaitError } from '@plait/core';

/**
 * Gives a bearer token that is valid now. It is asked for one with each new connection and each re-authentication, so a
 * provider keeps a token that is good for some time. What it throws fails that connection: `config` ends the caller.
 */
export type TokenProvider = () => Promise<string>;

/** Authentication by SASL. Without TLS a password or token of `plain` and `oauthbearer` can be read on the way. */
export type Sasl =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
      readonly username: string;
      readonly password: string;
    }
  | {
      readonly mechanism: 'oauthbearer';
      readonly token: TokenProvider;
      /** SASL extensions (RFC 7628), as some cloud services want them: names of letters only. Default: none. */
      readonly extensions?: Readonly<Record<string, string>>;
    };

/** As kafkajs takes it. A new object each time: kafkajs writes into it. */
export function saslOptions(sasl: Sasl): SASLOptions | Mechanism {
  if (sasl.mechanism === 'oauthbearer') return { mechanism: sasl.mechanism, authenticationProvider: oauthBearer(sasl) };
  const known: SASLOptions = { ...sasl };
  return known;
}

/**
 * RFC 7628, as Kafka has it. Not kafkajs' own, which takes it for success when the broker answers that it does not accept
 * the token: what is asked next then fails in ways that say nothing.
 */
function oauthBearer({ token, extensions = {} }: Extract<Sasl, { mechanism: 'oauthbearer' }>): Mechanism['authenticationProvider'] {
  return ({ saslAuthenticate }) => ({
    authenticate: async () => {
      const pairs = Object.entries({ auth: `Bearer ${await token()}`, ...extensions }).map((pair) => pair.join('='));
      const message = Buffer.from(['n,,', ...pairs, '', ''].join('\u0001'));
      const answer = await saslAuthenticate({
        request: { encode: () => sized(message) },
        response: { decode: (bytes) => bytes.subarray(SIZE_BYTES), parse: (bytes: Buffer) => bytes.toString() },
      });
      if (typeof answer !== 'string' || answer !== '') throw new TokenRefused(`the token is not accepted: ${String(answer)}`);
    },
  });
}

/** Both go with their length before them. */
const SIZE_BYTES = 4;

function sized(bytes: Buffer): Buffer {
  const size = Buffer.alloc(SIZE_BYTES);
  size.writeInt32BE(bytes.length);
  return Buffer.concat([size, bytes]);
}

/** As kafkajs' own error, so that it is a refusal wherever it comes out. */
class TokenRefused extends Error {
  override readonly name = 'KafkaJSSASLAuthenticationError';
  readonly retriable = false;
}

/** The token in a file, read anew each time, so that whoever renews it only replaces the file. Its calls throw `config` without one. */
export function tokenFromFile(path: string): TokenProvider {
  return async () => {
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      throw new PlaitError('config', `the token file ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    });
    const token = text.trim();
    if (token === '') throw new PlaitError('config', `the token file ${path} is empty: it must hold a bearer token`);
    return token;
  };
}

/** Where a token comes from by OAuth 2.0 client credentials (RFC 6749, section 4.4). */
export interface ClientCredentials {
  /** The token endpoint: an `https://` URL, or `http://` where that is meant. Node's CAs, and those of `NODE_EXTRA_CA_CERTS`, are trusted. */
  readonly endpoint: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Default: none is asked for. */
  readonly scope?: string;
}

const TOKEN_TIMEOUT_MS = 4_000;
/** A token is used up to this part of its life: then there is time to get the next. */
const TOKEN_LIFE_USED = 0.8;
/** Of an answer without `expires_in`, which RFC 6749 only recommends. */
const TOKEN_LIFE_DEFAULT_S = 60;
const TOKEN_CHARS_MAX = 65_536;

/**
 * Tokens by client credentials; one is kept for 80 % of its life. Its calls throw `config` when the endpoint refuses the
 * client (400, 401, 403) or answers with something else than a token, `unavailable` when it does not answer within 4 s.
 */
export function tokenFromEndpoint(options: ClientCredentials): TokenProvider {
  let kept: { readonly token: string; readonly untilMs: number } | undefined;
  let asking: Promise<string> | undefined;
  const ask = async (): Promise<string> => {
    const nowMs = performance.now();
    const { token, lifeS } = await requestToken(options);
    kept = { token, untilMs: nowMs + lifeS * 1_000 * TOKEN_LIFE_USED };
    return token;
  };
  return async () => {
    if (kept !== undefined && performance.now() < kept.untilMs) return kept.token;
    // Several connections at once share one request.
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return await asking;
  };
}

const formEncoded = (text: string): string => new URLSearchParams({ '': text }).toString().slice(1);

async function requestToken({ endpoint, clientId, clientSecret, scope }: ClientCredentials): Promise<{ token: string; lifeS: number }> {
  const name = `the token endpoint ${endpoint}`;
  let status: number;
  let text: string;
  try {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: {
        accept: 'application/json',
        // RFC 6749, section 2.3.1: both are form-encoded before they are joined.
        authorization: `Basic ${Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`).toString('base64')}`,
      },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) }),
      redirect: 'error',
      signal: AbortSignal.timeout(TOKEN_TIMEOUT_MS),
    });
    status = response.status;
    text = await response.text();
  } catch (error) {
    // fetch says only that it failed; why is in its cause.
    const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new PlaitError('unavailable', `${name} does not answer: ${why}`, { cause: error });
  }
  if (status === 400 || status === 401 || status === 403) {
    throw new PlaitError('config', `${name} refuses the client ${clientId} with status ${status}: check its id, its secret and the scope`);
  }
  if (status !== 200) throw new PlaitError('unavailable', `${name} answers with status ${status}`);
  return parseToken(text, name);
}

function parseToken(text: string, name: string): { token: string; lifeS: number } {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = undefined;
  }
  const { access_token: token, expires_in: life } = typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {};
  if (typeof token !== 'string' || token === '' || token.length > TOKEN_CHARS_MAX) {
    throw new PlaitError('config', `${name} answers without an access_token: is it the token endpoint of an OAuth 2.0 server?`);
  }
  return { token, lifeS: typeof life === 'number' && life > 0 ? life : TOKEN_LIFE_DEFAULT_S };
}
