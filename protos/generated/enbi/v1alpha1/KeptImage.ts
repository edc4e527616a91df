// Original file: enbi.proto

import type { Long } from '@grpc/proto-loader';

export interface KeptImage {
  'image'?: (string);
  'imageId'?: (string);
  'storePath'?: (string);
  'size'?: (number | string | Long);
  'updatedAt'?: (number | string | Long);
}

export interface KeptImage__Output {
  'image': (string);
  'imageId': (string);
  'storePath': (string);
  'size': (number);
  'updatedAt': (number);
}
