export { LauncherError } from './errors.ts';
export { launch } from './launch.ts';
export type { KafkaControl, LaunchOptions, ServiceControl, Services } from './types.ts';
