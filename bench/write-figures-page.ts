import { writeFiguresPage } from './figures-page.ts'

await writeFiguresPage()
