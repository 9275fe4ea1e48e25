import { defineConfig } from 'vitest/config';

/** The tests that need a container engine, apart from the others: `pnpm test:containers`. */
export default defineConfig({
  resolve: { conditions: ['development', 'node'] },
  ssr: { resolve: { conditions: ['development', 'node'] } },
  test: {
    name: 'containers',
    include: ['test/containers/**/*.test.ts'],
    // Its reaper's image may not be at hand; the tests remove their containers themselves, also when they fail.
    env: { TESTCONTAINERS_RYUK_DISABLED: 'true' },
    testTimeout: 300_000,
    hookTimeout: 300_000,
    fileParallelism: false,
    // The reason of a skip is part of the name of what is skipped.
    reporters: ['verbose'],
  },
});
