import { writeMadeFlake } from '../../test/node/made-flake.ts'
import type { PodRecipe } from '../../test/node/recipe-pull.ts'
import { pick, range } from '../fixtures/crowd.ts'

const IMAGES = 12
/** One in so many changes is a new name, as a new tag is. The others give an image's name to another flake. */
const CHANGES_PER_NAME = 3

/** Begin of the names of all store paths. */
export const RECIPE_NAME = 'soak-'

export interface Recipes {
  /** The current recipe of one of the images. */
  any(): PodRecipe
  /** Gives one image, each in turn, other contents. */
  change(): Promise<void>
}

/** `dir`: a folder that the builder can read. */
export async function createRecipes(dir: string): Promise<Recipes> {
  let changes = 0
  const names = range(IMAGES).map(n => `soak.example/team/app-${n}:0`)
  const make = async (image: string): Promise<PodRecipe> => {
    changes += 1
    return { image, flakeUrl: await writeMadeFlake(dir, madeImage(changes)), packageName: 'image' }
  }
  const current: PodRecipe[] = []
  for (const name of names) current.push(await make(name))
  return {
    any: () => pick(current, Math.floor(Math.random() * IMAGES)),
    async change() {
      const index = changes % IMAGES
      const { image } = pick(current, index)
      const round = Math.floor(changes / IMAGES)
      const isRenamed = (index + round) % CHANGES_PER_NAME === 0
      current[index] = await make(isRenamed ? image.replace(/:.*/, `:${changes}`) : image)
    },
  }
}

/** A folder with busybox and 8 MB that no other image has. The builder takes two seconds. */
function madeImage(version: number): string {
  const script =
    'mkdir -p $out/bin; cp /usr/bin/busybox $out/bin; head -c 8000000 /dev/urandom > $out/data; echo building; sleep 2'
  return `let made = make "${RECIPE_NAME}${version}" {} "${script}"; in
    made // { imageConfig.Entrypoint = [ "\${made}/bin/busybox" "sleep" "86400" ]; }`
}
