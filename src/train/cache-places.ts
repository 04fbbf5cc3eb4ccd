// The words for where and how a teacher's outputs are kept: apart from teacher-cache.ts, because help tells them, and help must
// not load what keeps them.

/** See `DistillOptions.teacherCache`. */
export const cachePlaces = ["auto", "memory", "disk", "off"] as const;
export type CachePlace = (typeof cachePlaces)[number];

/** See `DistillOptions.teacherCacheType`. */
export const cacheTypes = ["float32", "float16"] as const;
export type CacheType = (typeof cacheTypes)[number];
