/** What must outlive a process, as files: what a role remembers, and its copy of the log. */
export { formatStateFile, openStateFile, parseStateFile } from './state-file.ts';
export { openCopy, readCopies } from './copy-folder.ts';
export type { CopyFile, CopyOwner } from './copy-folder.ts';
export { appendRecord, copyHead, readRecords } from './copy-format.ts';
export type { CopiedMessages } from './copy-format.ts';
export { replaceFile, writeNew } from './files.ts';
