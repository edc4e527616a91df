// Original file: enbi.proto

import type { Long } from '@grpc/proto-loader';

export interface FolderUse {
  'files'?: (number | string | Long);
  'bytes'?: (number | string | Long);
}

export interface FolderUse__Output {
  'files': (number);
  'bytes': (number);
}
