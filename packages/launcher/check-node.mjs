/**
 * Ends with status 1 and one sentence if the Node that runs is too old. Run by every script of package.json before
 * anything else. On Linux x64 and arm64 the workspace installs Node 24 as a package, which then runs the scripts; where
 * that package is missing the system's Node runs them without a word, so this looks first. Written for any Node that
 * knows modules, back to 12.
 */
import process from 'node:process';

const majorMin = 24;
const major = Number(process.versions.node.split('.')[0]);
if (!(major >= majorMin)) {
  const linux = process.platform === 'linux' && (process.arch === 'x64' || process.arch === 'arm64');
  process.stderr.write(
    'Plait needs Node ' + majorMin + ' or newer, and this is Node ' + process.versions.node + ': ' +
      (linux
        ? 'the package node-linux-' + process.arch + ' that brings it is not installed; run "npx -y pnpm@12.21.0 install", or install Node ' + majorMin + '.'
        : 'on ' + process.platform + ' ' + process.arch + ' install Node ' + majorMin + ' first.') +
      '\n',
  );
  process.exit(1);
}
