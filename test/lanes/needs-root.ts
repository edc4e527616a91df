/** Imported by test files that start no program but need root, for example to change the owner of a file. */
export {}
