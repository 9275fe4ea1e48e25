import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { imageEnvironment, kafkaImage, redisImage } from '../../packages/launcher/src/settings.ts';

it('docker-compose.yml gives Kafka what the launcher gives it', () => {
  const compose = readFileSync(new URL('../../docker-compose.yml', import.meta.url), 'utf8');
  const variables = [...compose.matchAll(/^ {6}([A-Z_]+): '?(.*?)'?$/gm)].map(([, name, value]) => [name, value]);
  expect(Object.fromEntries(variables)).toEqual(imageEnvironment('127.0.0.1:${PLAIT_KAFKA_PORT:-9092}'));
  expect(compose).toContain(`image: ${kafkaImage}\n`);
  expect(compose).toContain(`image: ${redisImage}\n`);
});
