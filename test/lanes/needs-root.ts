/** Imported by test files that start no program and need root nevertheless, for example to change the owner of a file. */
export {}
