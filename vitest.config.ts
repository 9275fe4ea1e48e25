import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that need a Kafka or a Redis: their projects have the global setup that starts one of each for the whole run. The
 * first ones measure time-outs, so they run among themselves, one for each of two cores; the others are many and wait often.
 */
const timed = ['test/contract/**/*.test.ts', 'test/kafka/membership.test.ts', 'test/e2e/{failures,outages,rolling}.test.ts'];
const together = ['test/{attacks,e2e,kafka,launcher,package,security}/**/*.test.ts'];
/** Files that other commands run: `test:containers` needs an engine, the browser tests a browser. */
const elsewhere = ['**/node_modules/**', 'test/containers/**', 'test/browser/**'];

/**
 * The program is started hundreds of times: compiled once, a start costs half. Brokers of tests' own are started some fifty times
 * and live for seconds: what the JVM's second compiler would make of them comes too late.
 */
const env = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/compile', import.meta.url)),
  JAVA_TOOL_OPTIONS: '-XX:TieredStopAtLevel=1',
  // What auditors of tests remember is nobody's.
  XDG_CONFIG_HOME: fileURLToPath(new URL('node_modules/.cache/config', import.meta.url)),
};

/** Files that take a minute or more, the longest first: begun last, they would run alone in the end. */
const LONG = ['help-examples', 'sources', 'groups', 'rights', 'lying', 'rotation', 'rollback', 'publisher', 'attacks', 'reconfigure', 'hostile'];

/** The long files before the others. */
class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => rankOf(a) - rankOf(b));
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const at = LONG.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
  return at < 0 ? LONG.length : at;
}

/** Which of a package's files are meant: `development` is its TypeScript source, the other one picks Node's or the browser's. */
function resolving(platform: 'node' | 'browser') {
  const conditions = ['development', platform];
  return { resolve: { conditions }, ssr: { resolve: { conditions } }, plugins: platform === 'browser' ? [withoutNodeCondition] : [] };
}

/** Vitest adds the condition `node` to those asked for, and in an `imports` field it comes before the browser's. */
const withoutNodeCondition: Plugin = {
  name: 'plait:without-node-condition',
  enforce: 'post',
  configEnvironment: {
    order: 'post',
    handler: (_name, { resolve }) => {
      if (resolve?.conditions !== undefined) resolve.conditions = resolve.conditions.filter((condition) => condition !== 'node');
    },
  },
};

export default defineConfig({
  test: {
    sequence: { sequencer: LongFilesFirst },
    projects: [
      {
        ...resolving('node'),
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts', 'packages/*/src/**/*.test.ts', 'apps/*/src/**/*.test.ts'],
          exclude: [...elsewhere, ...timed, ...together],
          testTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          provide: { platform: 'node' },
        },
      },
      {
        ...resolving('browser'),
        test: {
          name: 'unit-browser',
          include: ['test/vectors/**/*.test.ts', 'test/properties/core-*.test.ts'],
          // Those load the cryptography of both platforms themselves.
          exclude: [...elsewhere, 'test/vectors/core/**'],
          testTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
          provide: { platform: 'browser' },
        },
      },
      {
        ...resolving('node'),
        test: {
          name: 'kafka',
          include: timed,
          exclude: elsewhere,
          globalSetup: ['test/global/setup.ts'],
          env,
          testTimeout: 120_000,
          hookTimeout: 180_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          provide: { platform: 'node' },
        },
      },
      {
        ...resolving('node'),
        test: {
          name: 'e2e',
          include: together,
          exclude: [...elsewhere, ...timed],
          globalSetup: ['test/global/setup.ts'],
          env,
          testTimeout: 240_000,
          hookTimeout: 180_000,
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
          provide: { platform: 'node' },
        },
      },
    ],
  },
});
