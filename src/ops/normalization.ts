import type { OpDefinition } from "./define.ts";

export const normalizationOps: readonly OpDefinition[] = [];
