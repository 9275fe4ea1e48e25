import { describe } from 'vitest';
import { Harness, logDriver } from '../kafka/harness.ts';
import { logContract } from './log-contract.ts';

const harness = new Harness();

describe('LogReader and LogAppender over Kafka', () => {
  logContract(() => logDriver(harness));
});
