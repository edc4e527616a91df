/** A short soak that writes no figures: `npm run soak -- MINUTES PODS`, by default 5 minutes and 40 pods. */
import { soak } from './soak.ts'

const [minutes = '5', pods = '40'] = process.argv.slice(2)
if (!(Number(minutes) > 0 && Number(pods) > 0)) throw new Error('usage: npm run soak -- MINUTES PODS')
const values = await soak({ minutes: Number(minutes), pods: Number(pods) })
for (const [name, value] of Object.entries(values)) process.stdout.write(`${name}: ${value}\n`)
if (values['soak.failed'] > 0) throw new Error(`${values['soak.failed']} pulls failed`)
if (values['soak.late'] > 0) throw new Error(`${values['soak.late']} pods waited too long`)
