// Original file: cri.proto

import type { FilesystemIdentifier as _runtime_v1_FilesystemIdentifier, FilesystemIdentifier__Output as _runtime_v1_FilesystemIdentifier__Output } from '../../runtime/v1/FilesystemIdentifier.ts';

export interface FilesystemUsage {
  'fsId'?: (_runtime_v1_FilesystemIdentifier | null);
}

export interface FilesystemUsage__Output {
  'fsId': (_runtime_v1_FilesystemIdentifier__Output | null);
}
