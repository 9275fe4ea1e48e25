import { describe } from 'vitest';
import { Harness, sourceDriver } from '../kafka/harness.ts';
import { sourceContract } from './source-contract.ts';

const harness = new Harness();

describe('SourceReader over Kafka', () => {
  sourceContract(() => sourceDriver(harness));
});
