import type { OpDefinition } from "./define.ts";

export const movementOps: readonly OpDefinition[] = [];
