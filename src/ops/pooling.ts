import type { OpDefinition } from "./define.ts";

export const poolingOps: readonly OpDefinition[] = [];
