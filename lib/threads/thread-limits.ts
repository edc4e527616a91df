/** V8 would have 512 MiB set aside for the code of each thread, which count as memory (see ../helper/data-limit.ts). */
export const THREAD_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4, codeRangeSizeMb: 16 }
