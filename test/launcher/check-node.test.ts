import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const CHECK = fileURLToPath(new URL('../../packages/launcher/check-node.mjs', import.meta.url));

/** Runs the check as if this were another Node, perhaps of another platform. */
async function check(node: string, platform = 'linux'): Promise<{ code: number; stderr: string }> {
  const pretend = `Object.defineProperty(process,'versions',{value:{node:'${node}'}});Object.defineProperty(process,'platform',{value:'${platform}'})`;
  const args = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`, CHECK];
  try {
    const { stderr } = await promisify(execFile)(process.execPath, args);
    return { code: 0, stderr };
  } catch (error) {
    return error as { code: number; stderr: string };
  }
}

describe('the check of the Node that runs', () => {
  it('lets Node 24 and newer pass without a word', async () => {
    expect(await check('24.0.0')).toEqual({ code: 0, stderr: '' });
    expect(await check('26.10.0', 'darwin')).toEqual({ code: 0, stderr: '' });
  });

  it('ends an older one with one sentence that says what to do', async () => {
    const linux = await check('20.19.0');
    expect(linux.code).toBe(1);
    expect(linux.stderr).toMatch(/^Plait needs Node 24 or newer, and this is Node 20\.19\.0: .+install.+\.\n$/);
    const elsewhere = await check('22.1.0', 'darwin');
    expect(elsewhere.code).toBe(1);
    expect(elsewhere.stderr).toMatch(/on darwin \S+ install Node 24 first\.\n$/);
  });
});
