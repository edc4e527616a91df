import { expect, it } from 'vitest'
import { IMAGE_SERVICE } from '../../../shim/wire/cri.ts'
import {
  IMAGE_STATUS_PATH,
  PULL_IMAGE_PATH,
  REMOVE_IMAGE_PATH,
  WATCH_PULLS_PATH,
  WATCH_STATUS_PATH,
} from '../../../shim/wire/paths.ts'
import { PULLS } from '../../../shim/wire/pulls.ts'
import { SHIM_STATUS } from '../../../shim/wire/status.ts'

it.each([
  [PULL_IMAGE_PATH, IMAGE_SERVICE.PullImage],
  [IMAGE_STATUS_PATH, IMAGE_SERVICE.ImageStatus],
  [REMOVE_IMAGE_PATH, IMAGE_SERVICE.RemoveImage],
  [WATCH_PULLS_PATH, PULLS.Watch],
  [WATCH_STATUS_PATH, SHIM_STATUS.Watch],
])('%s is the path of a method in the protos', (path, method) => {
  expect(method.path).toBe(path)
})
