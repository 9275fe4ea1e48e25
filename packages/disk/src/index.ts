/** What must outlive a process, as files: what a role remembers, and its copy of the log. */
export { formatStateFile, openStateFile, parseStateFile } from './state-file.ts';
export { openCopy, readCopies } from './copy-folder.ts';
export type { CopyFile, CopyOwner } from './copy-folder.ts';
export { appendRecord, copyHead, readRecords } from './copy-format.ts';
export type { CopiedMessages } from './copy-format.ts';
export { formatCheckpointFile, loadCheckpoint, parseCheckpointFile, saveCheckpoint } from './checkpoint-file.ts';
export type { RememberedCheckpoint } from './checkpoint-file.ts';
export { forgetVerifyProgress, formatVerifyProgress, loadVerifyProgress, parseVerifyProgress, saveVerifyProgress } from './verify-progress.ts';
export type { VerifyProgressMark } from './verify-progress.ts';
export { openTileFolder, readTileFolder } from './tile-folder.ts';
export { makeFolder, replaceFile, writeNew } from './files.ts';
export { openLeaves } from './leaf-store.ts';
export type { LeafStoreOptions } from './leaf-store.ts';
