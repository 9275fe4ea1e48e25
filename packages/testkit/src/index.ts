/** The roles' ports in memory, their contracts enforced, with faults and virtual time: what a simulator stands on. */
export { Faults, HARSH_FAULTS, NO_FAULTS, type FaultRates, type FaultTimes } from './faults.ts';
export { MemoryGroup, type MemoryGroupOptions } from './memory-membership.ts';
export { MemoryLease, type LeaseMode } from './memory-lease.ts';
export { MemoryLog, type MemoryLogOptions } from './memory-log.ts';
export { MemorySource } from './memory-source.ts';
export { Prng } from './prng.ts';
export {
  ContractError,
  isAlive,
  Scheduler,
  SimulationError,
  type PendingEvent,
  type Process,
  type ProcessState,
  type RunEnd,
  type SchedulerOptions,
  type Wait,
} from './scheduler.ts';
export { Trace, type TraceEntry, type TracePhase } from './trace.ts';
export { VirtualClock, virtualRandom } from './virtual-clock.ts';
export type { Aftermath } from './aftermath.ts';
export { PORT_CALLS, simulate, type SimulationReport } from './simulator.ts';
export { MemoryStates } from './memory-states.ts';
export { MemoryTiles } from './memory-tiles.ts';
export { simulateRollback, type RollbackReport } from './rollback-simulator.ts';
export { stillClock, stillLog, StillSource, type StillPartition } from './still.ts';
