export { LauncherError } from './errors.ts';
export { launch } from './launch.ts';
export type {
  KafkaControl, KafkaProcessOptions, LaunchOptions, RedisControl, RedisProcessOptions, ServiceControl, Services,
} from './types.ts';
