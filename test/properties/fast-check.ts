/**
 * fast-check with the same seed at every run, so that no test fails that passed before without a change.
 * `PLAIT_PROPERTY_SEED` shifts it, to look at places no run has seen. What fails prints its seed and path.
 */
import * as fc from 'fast-check';

fc.configureGlobal({ seed: 20_261_123 + Number(process.env['PLAIT_PROPERTY_SEED'] ?? 0) });

export { fc };
