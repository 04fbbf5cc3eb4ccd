import type { OpDefinition } from "./define.ts";

export const activationOps: readonly OpDefinition[] = [];
