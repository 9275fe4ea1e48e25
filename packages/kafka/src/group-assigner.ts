/** Who of a group of readers gets which partitions: evenly, and as many as possible stay where they are. */
import kafkajs from 'kafkajs';
import type { PartitionAssigner } from 'kafkajs';
import { partitionName, type TopicPartition } from '@plait/core';

const { AssignerProtocol } = kafkajs;
const { MemberMetadata, MemberAssignment } = AssignerProtocol;

/** What a member says that it has when it joins again. */
export interface Claim {
  /** In which generation it got that; −1 if in none. */
  readonly generation: number;
  /** Names of partitions. */
  readonly has: ReadonlySet<string>;
}

/** A member and its claim. */
export interface Claimant extends Claim {
  readonly id: string;
}

/**
 * Shares `partitions` out so that no member has two more than another, and moves as few as that allows. Members that have
 * the most get what cannot be divided. A member of an older generation than others has nothing any more: it was away, and
 * does not know better. Pure; each partition goes to exactly one member, if there is any.
 */
export function shareOut<P extends TopicPartition>(partitions: readonly P[], members: readonly Claimant[]): ReadonlyMap<string, readonly P[]> {
  const free = new Set(partitions);
  const kept = new Map(members.map(({ id }) => [id, [] as P[]]));
  const newest = Math.max(...members.map(({ generation }) => generation));
  const holdsOf = ({ generation, has }: Claim): P[] => (generation === newest ? partitions.filter((each) => has.has(partitionName(each))) : []);
  const held = members.map((member) => ({ ...member, holds: holdsOf(member) }));
  const most = held.toSorted((a, b) => b.holds.length - a.holds.length || (a.id < b.id ? -1 : 1));
  const each = Math.floor(partitions.length / Math.max(1, members.length));
  const extra = partitions.length - each * members.length;
  const quotas = most.map((member, i) => ({ ...member, quota: each + (i < extra ? 1 : 0) }));
  for (const { id, holds, quota } of quotas) {
    // Nobody checks what members say: two may claim the same one.
    for (const partition of holds.filter((one) => free.has(one)).slice(0, quota)) {
      kept.get(id)?.push(partition);
      free.delete(partition);
    }
  }
  const rest = [...free];
  for (const { id, quota } of quotas) {
    const list = kept.get(id) ?? [];
    list.push(...rest.splice(0, quota - list.length));
  }
  return kept;
}

/** For kafkajs. `claim` is asked for what this member has when it joins again. Members of other kinds are not let in. */
export function stickyAssigner(claim: () => Claim): PartitionAssigner {
  return ({ cluster }) => ({
    name: 'plait-readers/v1',
    version: 0,
    protocol({ topics }) {
      const { generation, has } = claim();
      const userData = Buffer.from([generation, ...has].join('\n'));
      return { name: this.name, metadata: MemberMetadata.encode({ version: this.version, topics, userData }) };
    },
    async assign({ members, topics }) {
      const partitions = topics.flatMap((topic) => cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ topic, partition: partitionId })));
      const claimants = members.map(({ memberId, memberMetadata }) => ({ id: memberId, ...claimIn(MemberMetadata.decode(memberMetadata)?.userData) }));
      return [...shareOut(partitions, claimants)].map(([memberId, mine]) => {
        const assignment: Record<string, number[]> = {};
        for (const { topic, partition } of mine) (assignment[topic] ??= []).push(partition);
        return { memberId, memberAssignment: MemberAssignment.encode({ version: this.version, assignment, userData: Buffer.alloc(0) }) };
      });
    },
  });
}

function claimIn(userData: Buffer | undefined): Claim {
  const [generation = '', ...has] = (userData ?? Buffer.alloc(0)).toString().split('\n');
  return { generation: /^\d+$/.test(generation) ? Number(generation) : -1, has: new Set(has) };
}
