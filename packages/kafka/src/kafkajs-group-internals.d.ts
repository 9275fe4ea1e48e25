/* What group-commits.ts uses of kafkajs 2.2.4 below its public surface, beside kafkajs-internals.d.ts. */
declare module 'kafkajs-internal-types' {
  export interface PartitionCode {
    partition: number;
    errorCode: number;
  }

  export interface Requests {
    GroupCoordinator: RequestDefinition<
      { groupId: string },
      { errorCode: number; errorMessage: string | null; coordinator: { nodeId: number; host: string; port: number } }
    >;
    OffsetCommit: RequestDefinition<
      {
        groupId: string;
        groupGenerationId: number;
        memberId: string;
        /** Milliseconds. */
        retentionTime: string;
        topics: { topic: string; partitions: { partition: number; offset: string; metadata: string }[] }[];
      },
      { responses: { topic: string; partitions: PartitionCode[] }[] }
    >;
    OffsetFetch: RequestDefinition<
      { groupId: string; topics: { topic: string; partitions: { partition: number }[] }[] },
      {
        errorCode: number;
        responses: { topic: string; partitions: (PartitionCode & { offset: string; metadata: string | null })[] }[];
      }
    >;
  }
}
