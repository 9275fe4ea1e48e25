export { openLease } from './lease.ts';
export type { LeaseOptions } from './lease.ts';
