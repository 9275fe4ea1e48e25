/** What must happen, in which order: the roles as steps over ports. */
export type * from './ports.ts';
export * from './limits.ts';
export type * from './events.ts';
export type * from './audit-types.ts';
export * from './follower.ts';
export * from './cold-start.ts';
export { requireRemembered, type PastOptions } from './memory.ts';
export { markOf, thinMarks } from './memory-marks.ts';
export { seemsAhead } from './memory-signs.ts';
export * from './lease-keeper.ts';
export * from './loop.ts';
export * from './coordinator.ts';
export * from './worker.ts';
export * from './publisher.ts';
export * from './reader.ts';
