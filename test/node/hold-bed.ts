// Starts a bed, prints its folder and waits to be killed.
import { startBed } from './bed.ts'

await using bed = await startBed()
process.stdout.write(`${bed.dir}\n`)
await new Promise(() => {})
