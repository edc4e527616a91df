import { writeFiguresPage } from './figures-page.ts'
import { writeScalePage } from './scale-page.ts'

await writeFiguresPage()
await writeScalePage()
