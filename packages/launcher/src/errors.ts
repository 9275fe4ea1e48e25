/**
 * Kafka or Redis could not be started or reached. The message is one or two sentences for a person: what is missing or
 * failed, and what to install or do. Thrown by everything in this package that fails for a reason outside of it.
 */
export class LauncherError extends Error {
  override readonly name = 'LauncherError';
  /** Whether a server that was named does not answer; else something is missing on this machine. */
  readonly unreachable: boolean;

  constructor(message: string, { unreachable = false, ...options }: ErrorOptions & { readonly unreachable?: boolean } = {}) {
    super(message, options);
    this.unreachable = unreachable;
  }
}
