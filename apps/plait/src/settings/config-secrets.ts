/** What must not be shown, and must not stand in the process list. */

/** Stands where a secret was. */
export const HIDDEN = '********';

/** Between the scheme and the last `@` of a URL: a password may hold anything. */
const CREDENTIALS = /^([a-z][a-z0-9+.-]*:\/\/)(.*)@/is;
/** Parameters of a URL that hold secrets. */
const PARAMETERS = /([?&][a-z-]*(?:password|secret|token)=)[^&#]*/gi;

/** `text`, several URLs or something else, without user and password of each URL. */
export function withoutCredentials(text: string): string {
  return urlsOf(text).map((url) => url.replace(CREDENTIALS, `$1${HIDDEN}@`).replace(PARAMETERS, `$1${HIDDEN}`)).join(',');
}

/** Whether `text` holds a URL with a password. */
export function hasPassword(text: string): boolean {
  return urlsOf(text).some((url) => (CREDENTIALS.exec(url)?.[2] ?? '').includes(':') || url.search(PARAMETERS) >= 0);
}

/** A comma parts two URLs only where the next one begins. */
function urlsOf(text: string): string[] {
  return text.split(/,(?=\s*[a-z][a-z0-9+.-]*:\/\/)/i);
}

/** Kafka's own properties of type password (ConfigDef.Type.PASSWORD), and whatever is called like one. */
const SECRET_PROPERTY = /^(sasl\.jaas\.config|ssl\.keystore\.key|ssl\.keystore\.certificate\.chain|ssl\.truststore\.certificates|.*(password|secret|token))$/i;

/** Whether a property of a command-config file is not for showing. */
export function isSecretProperty(name: string): boolean {
  return SECRET_PROPERTY.test(name);
}
