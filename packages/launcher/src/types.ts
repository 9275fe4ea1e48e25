/** How Kafka differs from the launcher's usual one: for tests of secured connections. */
export interface KafkaProcessOptions {
  /**
   * More listeners of every broker beside the plain one: name to protocol, such as `{ SCRAM: 'SASL_SSL' }`. Where they listen
   * says {@link KafkaControl.addresses}; what they demand says `settings`, as `listener.name.scram.…`.
   */
  readonly listeners?: Readonly<Record<string, 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'>>;
  /** Settings of every broker, over the launcher's own. The plain listener must stay as it is: readiness is seen there. */
  readonly settings?: Readonly<Record<string, string>>;
  /** More arguments of `kafka-storage format`, such as `--add-scram`, for a data folder that is new. */
  readonly format?: readonly string[];
}

/** How Redis differs from the launcher's usual one. */
export interface RedisProcessOptions {
  /** Lines of redis.conf, after the launcher's own. A plain port stays: readiness is seen there. */
  readonly settings?: readonly string[];
  /** Whether it listens with TLS too, at {@link RedisControl.tlsPort}; `settings` name its certificates. */
  readonly tls?: boolean;
  /** Whether it is a Sentinel; `settings` say what it watches. */
  readonly sentinel?: boolean;
}

/** What to start, and how. Every field may be left out. */
export interface LaunchOptions {
  /**
   * Folder that keeps Kafka's data between launches; made if it is not there. Default: a temporary folder, removed at
   * the end. Redis keeps nothing in either case: it holds only a lease. With Docker the data is in named volumes and
   * this folder says which.
   */
  readonly dataDir?: string;
  /** Number of Kafka brokers, each also a controller. Default 1. Three run as processes only, never in Docker. */
  readonly brokers?: 1 | 3;
  /** Whether Kafka is wanted. Default true. */
  readonly kafka?: boolean;
  /** Whether Redis is wanted. Default true. */
  readonly redis?: boolean;
  /** Gets a sentence for each step that takes time. Default: nobody is told. */
  onProgress?(line: string): void;
  /** Ends the launch, and later the services, when it is aborted. */
  readonly signal?: AbortSignal;
  /** `auto` (default): addresses given in the environment, else Docker, else processes. The other two skip the environment. */
  readonly mode?: 'auto' | 'processes' | 'docker';
  /** For the mode `processes` only. */
  readonly kafkaProcess?: KafkaProcessOptions;
  /** For the mode `processes` only. */
  readonly redisProcess?: RedisProcessOptions;
}

/** Control over one started server, for tests of outages. It keeps its data, its address and its settings. */
export interface ServiceControl {
  /** Process id on this machine; `undefined` while it is down, and always in Docker. */
  readonly pid: number | undefined;
  /** Asks it to end (SIGTERM), after 20 s forces it. Resolves when it is gone, at once if it is down already. */
  stop(): Promise<void>;
  /** Sends a signal. Resolves when the process is gone after SIGKILL, right after sending any other. Throws `LauncherError` if it is down. */
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): Promise<void>;
  /** Starts it again on the same address and data. Resolves when it answers; returns at once if it runs. Throws `LauncherError` if it does not come up. */
  start(): Promise<void>;
}

/** Control over Kafka. The inherited methods act on all brokers together; `pid` is that of the first. */
export interface KafkaControl extends ServiceControl {
  /** Folder with one folder of segment files for each broker, named by its id from 1; `undefined` in Docker. */
  readonly dataDir: string | undefined;
  /** One control for each broker, in the order of their ids. */
  readonly brokers: readonly ServiceControl[];
  /** `host:port` of every broker, separated by commas, at one of {@link KafkaProcessOptions.listeners}. Throws `LauncherError` for another. */
  addresses(listener: string): string;
  /**
   * Changes a file of the first broker's data in place, as somebody with access to its disk could: `edit` gets its bytes and
   * writes into them. `path` is relative to the folder of the partitions' folders. The broker must be down; not checked.
   * Rejects if there is no such file, with `LauncherError` in Docker.
   */
  editFile(path: string, edit: (bytes: Buffer) => void): Promise<void>;
}

/** Control over Redis. */
export interface RedisControl extends ServiceControl {
  /** Where it listens with TLS, on 127.0.0.1; `undefined` if that was not asked for. */
  readonly tlsPort: number | undefined;
}

/** A running Kafka and Redis. They end with `stop()`, with `await using`, and when the process that launched them ends in any way. */
export interface Services extends AsyncDisposable {
  /** Kafka's addresses, `host:port` separated by commas. Throws `LauncherError` if Kafka was not asked for. */
  readonly bootstrapServers: string;
  /** Redis' address as a `redis://` URL. Throws `LauncherError` if Redis was not asked for. */
  readonly redisUrl: string;
  /** Where they come from; `given` only if nothing had to be started. */
  readonly how: 'given' | 'docker' | 'processes';
  /** `undefined` if Kafka's address was given or it was not asked for. */
  readonly kafka: KafkaControl | undefined;
  /** `undefined` if Redis' address was given or it was not asked for. */
  readonly redis: RedisControl | undefined;
  /** Ends everything this launch started and removes its temporary folders. May be called again. Given services are left alone. */
  stop(): Promise<void>;
}
