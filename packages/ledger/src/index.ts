/** The library for programs: open a ledger, read it verified, ask how it stands. */
export { systemClock } from './clock.ts';
export { entriesOf, LedgerRecord } from './entries.ts';
export type { GoneEntry, LedgerEntry, LedgerSegment, LossEntry, SeqRange, VoidEntry } from './entries.ts';
export type { ReadNotice } from './group.ts';
export { formatLedgerFile, parseLedgerFile, readLedgerFile } from './ledger-file.ts';
export type { LedgerFile } from './ledger-file.ts';
export { openLedger, readGenesis, requireGenesis } from './ledger.ts';
export type { Ledger, OpenLedgerOptions } from './ledger.ts';
export type { ReadOptions } from './read.ts';
export type { AwaitReceiptOptions, LedgerReceipt, ReceiptPlace } from './receipt.ts';
export type { StartOptions, StartPoint } from './start.ts';
export type { LastBlock, LedgerStatus, PartitionStatus } from './status.ts';
export { verifyLedger } from './verify.ts';
export type { VerifyPorts } from './verify.ts';
export type { VerifyFinding, VerifyOptions, VerifyProgress, VerifyReport } from './verify-types.ts';
export type {
  AuditCounts, Finding, FindingKind, Gone, LeavesOf, LineChecker, LineFinding, LineResult, LineStretch, Retention, RetentionOf, SignedCheckpoint, Verdict,
} from '@plait/roles';
export { readSignedCheckpoint, RecordChecker } from '@plait/roles';
export type { LogCopy, Memory, Remembered, VerifiedSegment } from '@plait/roles';
export { openStateFile } from '@plait/disk';
// Outside of this workspace there is no core: what a program needs of it comes from here.
export { checkReceipt, formatReceipt, isPlaitError, parseReceipt, parseVerifierKey, PlaitError, verifyReceipt } from '@plait/core';
export type {
  ErrorCode, ErrorDetails, Generation, Hash, Height, Index, LogPosition, LossSegment, Offset, Receipt, ReceiptStep, ReceiptStepName,
  RecordHeader, RecordSegment, Segment, Seq, VerifiedReceipt, VerifierKey,
} from '@plait/core';
