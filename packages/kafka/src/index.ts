export { createKafka } from './client.ts';
export type { KafkaLog, KafkaOptions } from './client.ts';
export { openLogReader } from './log-reader.ts';
export type { LogReaderOptions } from './log-reader.ts';
export { openLogAppender } from './appender.ts';
export type { LogAppenderOptions } from './appender.ts';
export { openSourceReader } from './source-reader.ts';
export type { SourceReaderOptions } from './source-reader.ts';
