import type { OpDefinition } from "./define.ts";

export const reductionOps: readonly OpDefinition[] = [];
