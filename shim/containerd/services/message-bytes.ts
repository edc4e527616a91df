/** Bytes of a blob in one message: enough that messages cost little, and little enough to keep memory low. */
export const MESSAGE_BYTES = 256 * 1024
