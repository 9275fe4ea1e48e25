export { openLease } from './lease.ts';
export type { LeaseOptions } from './lease.ts';
export type { RedisNode, RedisNodes, RedisPlace, RedisSentinel } from './place.ts';
